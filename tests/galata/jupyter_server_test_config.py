"""What Galata asks of a server: no token, a fixed port, the page's application at hand."""

from jupyterlab.galata import configure_jupyter_server

configure_jupyter_server(c)  # type: ignore[name-defined]  # noqa: F821
