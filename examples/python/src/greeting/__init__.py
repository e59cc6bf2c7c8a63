"""Greets people."""


def greeting(name: str) -> str:
    """A greeting for `name`, or for everybody when it is blank."""
    return f"Hello, {name.strip() or 'everybody'}!"
