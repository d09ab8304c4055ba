/** What the extension keeps to; settings.ts changes it. */
export const limits = { mostRuns: 50, largestCode: 100_000 };
