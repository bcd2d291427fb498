"""Runs that crash at a chosen moment and are resumed."""

import pytest

from ttfs_keras.training import record


class _Crash(Exception):
    pass


def whole_and_resumed(trained, folder, moment, call, **settings):
    """Return what `trained` returns for a run that is left alone, and for one that was resumed after a crash.

    Args:
        trained: trains in a folder with settings.
        folder: for both.
        moment: function of `ttfs_keras.training.record` that crashes.
        call: at which of its calls, from 1.
        **settings: of both runs.
    """
    whole = trained(folder / "whole", **settings)
    calls, original = [], getattr(record, moment)

    def failing(path, content):
        calls.append(path)
        if len(calls) == call:
            raise _Crash
        original(path, content)

    with pytest.MonkeyPatch.context() as patch, pytest.raises(_Crash):
        patch.setattr(record, moment, failing)
        trained(folder / "cut", **settings)
    return whole, trained(folder / "cut", resume=True, **settings)
