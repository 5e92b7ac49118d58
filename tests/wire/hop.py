"""A store's way to its threads that tests can watch, and hold up."""

from twisted.internet.defer import Deferred, execute


class Hop:
    """Runs at once, but holds back what is called while it is `held`.

    :param passing: the names of functions of the store that are not held back.
    :ivar calls: the functions that were called.
    """

    def __init__(self, *passing):
        self.calls = []
        self.held = False
        self._passing = passing
        self._waiting = []

    def __call__(self, function, *args, **kwargs):
        inner = args[0] if args else function
        self.calls.append(inner)
        if not self.held or inner.__name__ in self._passing:
            return execute(function, *args, **kwargs)
        deferred = Deferred()
        self._waiting.append((deferred, function, args, kwargs))
        return deferred

    def release(self):
        self.held = False
        while self._waiting:
            deferred, function, args, kwargs = self._waiting.pop(0)
            execute(function, *args, **kwargs).chainDeferred(deferred)
