"""A tox plugin of our own: environments that name the same `env_dir` share one virtual environment.

tox makes a directory anew when an environment of another name used it last; installing everything five times is
what makes a test run slow. Remembering the present name before tox compares is all that takes. Not for `tox -p`.
"""

from __future__ import annotations

from tox.plugin import impl
from tox.tox_env.api import ToxEnv
from tox.tox_env.python.virtual_env.runner import VirtualEnvRunner
from tox.tox_env.register import ToxEnvRegister


class SharedRunner(VirtualEnvRunner):
    """A virtual environment that several tox environments use one after the other."""

    @staticmethod
    def id() -> str:
        """Return the name by which tox.ini asks for it."""
        return "shared"

    def _setup_env(self) -> None:
        with self.cache.compare({"name": self.conf.name, "type": type(self).__name__}, ToxEnv.__name__):
            pass  # leaving the block writes the name down
        super()._setup_env()


@impl
def tox_register_tox_env(register: ToxEnvRegister) -> None:
    """Tell tox of the runner."""
    register.add_run_env(SharedRunner)
