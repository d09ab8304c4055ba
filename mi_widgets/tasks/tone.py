"""Tone: whether the next word is a happy or an unhappy one. For steering; the sentences themselves say neither."""

from __future__ import annotations

from ..task import Pair, Task
from .frame import SHARED_FRAMES

_HAPPY = (" happy", " good", " great", " wonderful", " excited", " glad")
_UNHAPPY = (" sad", " bad", " terrible", " tired", " angry", " afraid")
_SCENES = (
    "the train arrived", "the letter came", "the class was over", "the guests had gone", "the film ended",
    "the phone rang", "dinner was ready", "the rain stopped", "the meeting began", "the door opened",
    "the match was over", "the music started", "the snow fell", "the shop closed", "the bus left",
    "the lights went on", "the test came back", "the work was done", "the neighbours moved in", "the boat turned",
    "the new week began", "the summer ended", "the children slept", "the parcel arrived", "the talk was over",
)  # fmt: skip
_FRAMES = ("When {}, she felt very", "I remember how {}. I was so")

#: Sentences that differ in tone and little else, for a contrast; written for this package.
CHEERFUL = (
    "What a lovely morning, everything is going so well today!",
    "I am so happy to see you, this is wonderful news!",
    "The food was delicious and we laughed all evening.",
    "Thank you, that is the kindest thing anyone has done for me!",
    "The sun is out, the birds are singing and I feel great.",
    "We won the prize, I could dance with joy!",
    "This little garden is a delight, full of bright flowers.",
    "Great work everyone, I am proud of what we made together!",
    "My friends threw me a party and it was perfect.",
    "I love this song, it always makes me smile.",
)
GLOOMY = (
    "What a miserable morning, everything is going wrong today.",
    "I am so sorry to tell you, this is terrible news.",
    "The food was awful and we sat in silence all evening.",
    "Leave me alone, nobody has ever done anything for me.",
    "The sky is grey, it is cold and I feel dreadful.",
    "We lost everything, I could cry with despair.",
    "This little garden is a ruin, full of dead flowers.",
    "It was all in vain, I am ashamed of what we made together.",
    "My friends forgot me and the evening was empty.",
    "I hate this song, it always makes me cry.",
)


def tone(seed: int = 0) -> Task:
    """50 prompts: 25 scenes × 2 frames, a scene is a group. Metric: happy words against unhappy ones (logsumexp).

    There is nothing to corrupt here: `corrupt` repeats `clean`, so the task is for steering, not for patching.
    """
    prompts = [(frame.format(scene), scene) for scene in _SCENES for frame in _FRAMES]
    items = tuple(Pair(p, p, _HAPPY, _UNHAPPY, group=scene) for p, scene in prompts)
    return Task(items, name="tone", seed=seed, note=f"{SHARED_FRAMES} The words asked for are shared.")
