"""The models that are served, and how they follow what is published, damaged or removed on disk."""

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from threading import Lock, Thread

from nncore import Fingerprint, ModelRepository, RepositoryError
from service.errors import RequestError
from service.metrics import Metrics
from service.serving import ServedModel, load_model
from service.settings import Settings
from service.threads import call_aside

_RETRY_SECONDS = "5"
# Versions that are kept in memory for those who ask for them by number, beside the current ones.
_MOST_OTHERS = 4

_log = logging.getLogger(__name__)

Version = tuple[str, int]


@dataclass(frozen=True)
class Refusal:
    """Why a version that is on disk is not served.

    Attributes:
        fingerprint: Of the files that were refused; with others it gets another chance.
        reason: One sentence.
    """

    fingerprint: Fingerprint
    reason: str


@dataclass(frozen=True)
class _Loaded:
    model: ServedModel
    fingerprint: Fingerprint


class Models:
    """Every model in the repository; safe in any number of threads.

    Of each model, one version is current: the highest that is sound, or the one that the settings
    pin. It is loaded when it is found and answers until another takes its place. Other versions
    are loaded when they are asked for.

    Args:
        settings: Where the models are, which one answers by default, and how many images a
            request may have.
        metrics: Told of what is loaded, refused and served.
    """

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self._settings = settings
        self._metrics = metrics
        self._repository = ModelRepository(settings.model_dir)
        self._available: dict[str, dict[int, Fingerprint]] = {}
        self._loaded: dict[Version, _Loaded] = {}
        self._current: dict[str, ServedModel] = {}
        self._refused: dict[Version, Refusal] = {}
        self._unreadable: str | None = None
        self._warned_of: str | None = None
        self._lock = Lock()

    @property
    def default_name(self) -> str:
        """The model that answers when a request names none."""
        return self._settings.model_name

    @property
    def available(self) -> Mapping[str, Mapping[int, Fingerprint]]:
        """The versions on disk, lowest first, by model."""
        return self._available

    @property
    def loaded(self) -> list[ServedModel]:
        """The versions in memory."""
        return [loaded.model for loaded in self._loaded.values()]

    @property
    def current(self) -> Mapping[str, ServedModel]:
        """The version that answers when a request names none, by model."""
        return self._current

    @property
    def refused(self) -> Mapping[Version, Refusal]:
        """The versions on disk that are not sound."""
        return self._refused

    def get(self, name: str | None = None, version: int | None = None) -> ServedModel:
        """Give a model, which is loaded if it need be.

        Args:
            name: The default model when None.
            version: The current version when None.

        Raises:
            RequestError: There is no such model or version (404), or it cannot answer (503).
        """
        name = name or self.default_name
        current = self._current.get(name)
        if current and version in (None, current.version):
            return current
        if version is None:
            raise self._not_ready(name)
        loaded = self._loaded.get((name, version))
        if loaded:
            return loaded.model
        return self._load_other(name, version)

    def refresh(self) -> None:
        """Follow the repository: load what is new, forget what is gone.

        A version that was refused is not tried again before its files change.
        """
        with self._lock:
            try:
                self._available = _scan(self._repository)
            except OSError as error:
                self._unreadable = str(error)
            else:
                self._unreadable = None
                for name in self._available:
                    self._choose_current(name)
                self._forget_what_is_gone()
            self._warn_if_not_ready()

    def watch(self, seconds: float) -> None:
        """Refresh in the background, every so many seconds, until the process ends."""

        def refresh_for_ever() -> None:
            while True:
                time.sleep(seconds)
                try:
                    self.refresh()
                except Exception:  # noqa: BLE001 - whatever it is, it must not end the watching
                    _log.exception("the models could not be refreshed; it is tried again")

        Thread(target=refresh_for_ever, daemon=True).start()

    def _choose_current(self, name: str) -> None:
        versions = self._available[name]
        pinned = self._settings.model_version if name == self.default_name else None
        for version in [pinned] if pinned else sorted(versions, reverse=True):
            if version not in versions or (model := self._load(name, version)) is None:
                continue
            before = self._current.get(name)
            if model is not before:
                self._current[name] = model
                self._metrics.model_serves(name, version)
                _log.info("ready: %s %d", name, version)
            return

    def _load(self, name: str, version: int) -> ServedModel | None:
        """Give a version on disk if it is sound; the caller holds the lock."""
        fingerprint = self._available[name][version]
        loaded = self._loaded.get((name, version))
        if loaded and loaded.fingerprint == fingerprint:
            return loaded.model
        refused = self._refused.get((name, version))
        if refused and refused.fingerprint == fingerprint:
            # What is in memory was sound, whatever has become of its files.
            return loaded.model if loaded else None
        try:
            model = call_aside(
                load_model, self._repository, name, version, self._settings.max_batch
            )
        except (RepositoryError, OSError, ValueError) as error:
            self._refused[name, version] = Refusal(fingerprint, str(error))
            self._metrics.model_refused(name)
            _log.error("refused: %s %d: %s", name, version, error)
            return loaded.model if loaded else None
        self._refused.pop((name, version), None)
        self._loaded[name, version] = _Loaded(model, fingerprint)
        self._metrics.model_loaded(name)
        return model

    def _load_other(self, name: str, version: int) -> ServedModel:
        with self._lock:
            if version not in self._available.get(name, {}):
                there = ", ".join(map(str, self._available.get(name, {}))) or "none"
                raise RequestError(
                    404,
                    f"expected a version of model {name:.100} that is there ({there}), "
                    f"got {version}",
                )
            model = self._load(name, version)
            self._forget_what_is_gone()
        if model is None:
            reason = self._refused[name, version].reason
            raise RequestError(503, f"version {version} of model {name} is not sound: {reason}")
        return model

    def _forget_what_is_gone(self) -> None:
        """Drop what is no longer on disk, and the versions beyond those that memory is for."""

        def is_there(version: Version) -> bool:
            return version[1] in self._available.get(version[0], {})

        self._refused = {key: value for key, value in self._refused.items() if is_there(key)}
        for model in list(self._current.values()):
            if not is_there((model.name, model.version)):
                del self._current[model.name]
                self._metrics.model_serves(model.name, None)
                _log.warning("gone: %s %d", model.name, model.version)
        current = {(name, model.version) for name, model in self._current.items()}
        others = [key for key in self._loaded if key not in current and is_there(key)]
        kept = current | set(others[-_MOST_OTHERS:])
        self._loaded = {key: value for key, value in self._loaded.items() if key in kept}

    def _warn_if_not_ready(self) -> None:
        """Log why requests that name no model get none, once for each reason."""
        ready = self.default_name in self._current
        reason = None if ready else self._why_not_ready(self.default_name)
        if reason and reason != self._warned_of:
            _log.warning("not ready: %s", reason)
        self._warned_of = reason

    def _not_ready(self, name: str) -> RequestError:
        """Say why a model has no current version, and what to do."""
        if name not in self._available and name != self.default_name and not self._unreadable:
            there = ", ".join(self._available) or "none"
            return RequestError(404, f"expected a model that is there ({there}), got {name:.100}")
        return RequestError(503, self._why_not_ready(name), {"Retry-After": _RETRY_SECONDS})

    def _why_not_ready(self, name: str) -> str:
        if self._unreadable:
            return f"{self._unreadable}: check MODEL_DIR"
        reasons = [refusal.reason for key, refusal in self._refused.items() if key[0] == name]
        if reasons:
            return f"{reasons[-1]}: publish a new version or remove this one"
        pinned = self._settings.model_version if name == self.default_name else None
        try:
            self._repository.load(name, pinned)
        except ValueError as error:
            return f"{error}: check MODEL_NAME"
        except RepositoryError as error:
            remedy = (
                "set MODEL_VERSION to a version that is there"
                if name in self._available
                else "run `make train` (or `docker compose run trainer`)"
            )
            return f"{error}: {remedy}"
        return f"{name} has only now appeared: try again"


def _scan(repository: ModelRepository) -> dict[str, dict[int, Fingerprint]]:
    return {
        name: {version: repository.fingerprint(name, version) for version in versions}
        for name in repository.names()
        if (versions := repository.versions(name))
    }
