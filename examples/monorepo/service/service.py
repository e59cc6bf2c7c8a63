"""Answers for the web page."""


def answer(path: str) -> str:
    return "home" if path == "/" else "not found"
