"""The examples in docstrings, and that everything public has one, annotations and a name in `__all__`."""

import dataclasses
import doctest
import importlib
import inspect
import pkgutil

import keras
import numpy as np
import pytest
import tensorflow as tf

import ttfs_keras as tk
from ttfs_keras import bats, stbp, ttfs

GLOBALS = {
    "tk": tk, "bats": bats, "stbp": stbp, "np": np, "keras": keras, "tf": tf, "dataclasses": dataclasses,
}  # fmt: skip
WALKED = pkgutil.walk_packages(tk.__path__, "ttfs_keras.")
MODULES = [name for _, name, _ in WALKED if not name.endswith("__main__") and "bats_ops" not in name]  # no op library
SPACES = {"tk": tk, "tk.ttfs": ttfs, "bats": bats, "bats.losses": bats.losses, "bats.metrics": bats.metrics}
SPACES |= {"stbp": stbp, "stbp.surrogates": stbp.surrogates}
PUBLIC = {
    f"{space}.{name}": getattr(module, name)
    for space, module in SPACES.items()
    for name in module.__all__
    if not inspect.ismodule(getattr(module, name)) and callable(getattr(module, name))
}
ERRORS = {name for name, thing in PUBLIC.items() if inspect.isclass(thing) and issubclass(thing, Exception)}


def examples():
    finder = doctest.DocTestFinder(exclude_empty=True)
    for name in MODULES:
        module = importlib.import_module(name)
        for test in finder.find(module, name, globs=dict(GLOBALS)):
            if test.examples:
                yield pytest.param(test, id=test.name.removeprefix("ttfs_keras."))


@pytest.mark.parametrize("test", list(examples()))
def test_examples_print_what_they_say(test):
    keras.utils.set_random_seed(0)
    output: list[str] = []
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    runner.run(test, out=output.append, clear_globs=False)
    assert not runner.failures, "".join(output)


@pytest.mark.parametrize("name", sorted(PUBLIC.keys() - ERRORS))
def test_everything_public_has_an_example(name):
    assert ">>>" in (inspect.getdoc(PUBLIC[name]) or ""), f"{name} has no example"


@pytest.mark.parametrize("name", sorted(PUBLIC.keys() - ERRORS))
def test_everything_public_is_annotated_and_shows_its_arguments(name):
    thing = PUBLIC[name]
    function = thing.__init__ if inspect.isclass(thing) else thing
    if not getattr(function, "__module__", "").startswith("ttfs_keras"):
        return  # Keras's own constructor
    for parameter in inspect.signature(function).parameters.values():
        hidden = inspect.isclass(thing) and parameter.kind is parameter.VAR_POSITIONAL
        assert not hidden, f"{name} hides arguments in *{parameter.name}"
        if parameter.name != "self" and parameter.kind is not parameter.VAR_KEYWORD:
            assert parameter.annotation is not parameter.empty, f"{name}: {parameter.name} has no annotation"


@pytest.mark.parametrize("space", SPACES)
def test_completion_shows_public_names_only(space):
    shown = {name for name in dir(SPACES[space]) if not name.startswith("_")}
    hidden = {"tf", "HALF", "one_hot", "ops", "math", "arguments", "np"}
    assert shown & hidden == set()
    assert set(SPACES[space].__all__) <= shown
