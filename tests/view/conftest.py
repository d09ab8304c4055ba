import pytest

from mi_widgets.view import bundle


@pytest.fixture(autouse=True)
def no_page(monkeypatch, request):
    """Views without their page: these tests are about Python, and pass in a checkout where nothing is built."""
    if not request.node.name.startswith("test_the_page"):
        monkeypatch.setattr(bundle, "script", lambda stem: "")
        monkeypatch.setattr(bundle, "style", lambda: "")
