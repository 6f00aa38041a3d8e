"""The registry of served models: it follows what is published, damaged or removed on disk."""

import logging
from collections.abc import Mapping
from threading import Lock

from nncore.repository import Fingerprint, ModelRepository, RepositoryError
from service.errors import RequestError
from service.models.loaded_model import LoadedModel, load_model
from service.observability.metrics import Metrics
from service.settings import Settings

_RETRY_SECONDS = "5"
# Versions in memory for requests that name them, besides each model's current version.
_MAX_PINNED_VERSIONS = 4

_log = logging.getLogger(__name__)

Version = tuple[str, int]


class Registry:
    """Every model in the repository; safe in any number of threads.

    One version of each model is current: the highest that passes verification, or the one that
    the settings pin. It is loaded when it is found, and answers until another replaces it. Other
    versions are loaded when a request names them; the least recently used ones are dropped.

    Args:
        settings: Where the models are, which one is the default, the most images in a request.
        metrics: Counts loads and refusals, and exposes the current versions.
    """

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self._settings = settings
        self._metrics = metrics
        self._repository = ModelRepository(settings.model_dir)
        self._available: dict[str, dict[int, Fingerprint]] = {}
        # In the order of their last use.
        self._loaded: dict[Version, tuple[Fingerprint, LoadedModel]] = {}
        self._current: dict[str, LoadedModel] = {}
        # With the reason. A version is tried again when its files have another fingerprint.
        self._refused: dict[Version, tuple[Fingerprint, str]] = {}
        self._scan_error: str | None = None
        self._logged_reason: str | None = None
        # Held while the dictionaries change, never while files are read.
        self._lock = Lock()

    @property
    def default_name(self) -> str:
        """The model that answers when a request names none."""
        return self._settings.model_name

    @property
    def names(self) -> list[str]:
        """The models on disk."""
        return list(self._available)

    @property
    def current(self) -> Mapping[str, LoadedModel]:
        """The version that answers when a request names none, by model."""
        return self._current

    def versions(self, name: str) -> dict[int, tuple[str, str]]:
        """Return the versions of a model on disk, lowest first, each with its state and a reason.

        The states are "loaded" for a version in memory, "available" for one that is loaded when a
        request names it, and "refused" for one that failed verification, for that reason.
        """
        states = {}
        with self._lock:
            for version in self._available.get(name, ()):
                _, reason = self._refused.get((name, version), (None, ""))
                state = "refused" if reason else "available"
                if (name, version) in self._loaded:
                    state = "loaded"
                states[version] = (state, reason)
        return states

    def get(self, name: str | None = None, version: int | None = None) -> LoadedModel:
        """Return a model; a version that is not in memory is loaded.

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
        available = self._available.get(name, {})
        if version not in available:
            listed = ", ".join(map(str, available)) or "none"
            raise RequestError(
                404, f"model {name!r:.100} has no version {version} (available: {listed})"
            )
        model = self._load(name, version, available[version])
        if model is None:
            refusal = self._refused.get((name, version))
            reason = refusal[1] if refusal else "its files changed; retry"
            raise RequestError(503, f"model {name!r} version {version} cannot answer: {reason}")
        return model

    def refresh(self) -> None:
        """Follow the repository: load new current versions, forget removed ones.

        A version that was refused is not tried again before its files change.
        """
        try:
            available = _scan(self._repository)
        except OSError as error:
            self._scan_error = str(error)
        else:
            self._scan_error, self._available = None, available
            for name, versions in available.items():
                self._update_current(name, versions)
            self._forget_removed()
        self._log_if_not_ready()

    def _update_current(self, name: str, versions: Mapping[int, Fingerprint]) -> None:
        pinned = self._settings.model_version if name == self.default_name else None
        for version in [pinned] if pinned else sorted(versions, reverse=True):
            if version not in versions:
                continue
            model = self._load(name, version, versions[version])
            if model is None:
                continue
            if model is not self._current.get(name):
                self._current[name] = model
                self._metrics.set_version(name, version)
                _log.info("ready: model %s version %d", name, version)
            return

    def _load(self, name: str, version: int, fingerprint: Fingerprint) -> LoadedModel | None:
        """Return a version from memory or disk; None if it does not pass verification."""
        key = (name, version)
        with self._lock:
            loaded_from, model = self._loaded.pop(key, (None, None))
            if loaded_from and model:
                self._loaded[key] = loaded_from, model  # now the most recently used
            refused_from, _ = self._refused.get(key, (None, ""))
        if fingerprint in (loaded_from, refused_from):
            # A version in memory passed verification, even if its files are damaged now.
            return model
        try:
            loaded = load_model(self._repository, name, version, self._settings.max_batch)
        except (RepositoryError, OSError, ValueError) as error:
            with self._lock:
                self._refused[key] = fingerprint, str(error)
            self._metrics.count_refusal(name)
            _log.error("refused: model %s version %d: %s", name, version, error)
            return model
        with self._lock:
            self._refused.pop(key, None)
            self._loaded[key] = fingerprint, loaded
            kept = {(entry.name, entry.version) for entry in list(self._current.values())} | {key}
            others = [other for other in self._loaded if other not in kept]
            for least_recently_used in others[: -_MAX_PINNED_VERSIONS + 1]:
                del self._loaded[least_recently_used]
        self._metrics.count_load(name)
        return loaded

    def _forget_removed(self) -> None:
        """Drop what is no longer on disk."""

        def exists(name: str, version: int) -> bool:
            return version in self._available.get(name, {})

        with self._lock:
            self._refused = {key: value for key, value in self._refused.items() if exists(*key)}
            self._loaded = {key: value for key, value in self._loaded.items() if exists(*key)}
        for model in list(self._current.values()):
            if not exists(model.name, model.version):
                del self._current[model.name]
                self._metrics.set_version(model.name, 0)
                _log.warning("removed: model %s version %d", model.name, model.version)

    def _log_if_not_ready(self) -> None:
        """Log why the default model cannot answer, once per reason."""
        ready = self.default_name in self._current
        reason = None if ready else self._not_ready_reason(self.default_name)
        if reason and reason != self._logged_reason:
            _log.warning("not ready: %s", reason)
        self._logged_reason = reason

    def _not_ready(self, name: str) -> RequestError:
        if name not in self._available and name != self.default_name and not self._scan_error:
            listed = ", ".join(self._available) or "none"
            return RequestError(404, f"no model {name!r:.100} (available: {listed})")
        return RequestError(503, self._not_ready_reason(name), {"Retry-After": _RETRY_SECONDS})

    def _not_ready_reason(self, name: str) -> str:
        """Return why a model has no current version, and the remedy."""
        folder = self._settings.model_dir
        if self._scan_error:
            return f"{self._scan_error}: check MODEL_DIR"
        versions = self.versions(name)
        reasons = [reason for state, reason in versions.values() if state == "refused"]
        if reasons:
            return f"{reasons[-1]}: publish a new version or remove this one"
        if not versions:
            return (
                f"no model {name!r:.100} in {folder}: run `make train` "
                "(or `docker compose run trainer`), or set MODEL_NAME"
            )
        listed = ", ".join(map(str, versions))
        pinned = self._settings.model_version
        return (
            f"model {name!r} has no version {pinned} (available: {listed}): "
            "set MODEL_VERSION to one of them"
        )


def _scan(repository: ModelRepository) -> dict[str, dict[int, Fingerprint]]:
    return {
        name: {version: repository.fingerprint(name, version) for version in versions}
        for name in repository.names()
        if (versions := repository.versions(name))
    }
