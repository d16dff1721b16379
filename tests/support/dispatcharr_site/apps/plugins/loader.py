"""The plugin manager: finds, loads, runs, stops, replaces and deletes plugins as Dispatcharr's does.

Names, order and omissions are the observed ones: the manifest is read before any code; code is imported for enabled
plugins alone, under an internal name; a reload drops every module below the plugin's folder; other processes learn of
it by the time of a file; `stop` reaches the process that was asked, and no disabled plugin.
"""

import importlib
import importlib.util
import json
import logging
import os
import shutil
import sys
import tempfile
import types
import zipfile
from dataclasses import dataclass, field

from django.db import close_old_connections

from .models import PluginConfig
from .serializers import PluginActionSerializer, PluginFieldSerializer, taken

logger = logging.getLogger(__name__)


@dataclass
class LoadedPlugin:
    """What one process knows of a plugin; `instance` is None if its code is not loaded."""

    key: str
    path: str
    name: str = ""
    version: str = ""
    description: str = ""
    fields: list = field(default_factory=list)
    actions: list = field(default_factory=list)
    instance: object = None


class PluginManager:
    """The one manager of a process."""

    _instance = None

    @classmethod
    def get(cls):
        """The manager of this process."""
        if not cls._instance:
            cls._instance = cls()
        return cls._instance

    def __init__(self):
        self.plugins_dir = os.environ.get("DISPATCHARR_PLUGINS_DIR", "/data/plugins")
        self.registry = {}
        self._token = os.path.join(self.plugins_dir, ".reload_token")
        self._last_token = 0.0
        os.makedirs(self.plugins_dir, exist_ok=True)
        if self.plugins_dir not in sys.path:
            sys.path.append(self.plugins_dir)

    def discover_plugins(self, *, sync_db=True, force_reload=False):
        """Look through the plugins' folder, and load what is enabled; returns what was found, by key."""
        if force_reload:
            with open(self._token, "a"):
                os.utime(self._token)
        token = os.path.getmtime(self._token) if os.path.exists(self._token) else 0.0
        force_reload = force_reload or token > self._last_token
        try:
            configs = {config.key: config for config in PluginConfig.objects.all()}
        except Exception:
            configs = {}
        before, found = self.registry, {}
        for entry in sorted(os.listdir(self.plugins_dir)):
            path = os.path.join(self.plugins_dir, entry)
            if any(os.path.exists(os.path.join(path, name)) for name in ("plugin.py", "__init__.py")):
                key = entry.replace(" ", "_").lower()
                config = configs.get(key)
                if force_reload and key in before:
                    self._unload(before[key])
                found[key] = self._load(key, path, entry, bool(config and config.enabled), force_reload)
        for key in before.keys() - found.keys():
            self._unload(before[key])
        self.registry, self._last_token = found, max(token, self._last_token)
        if sync_db:
            for plugin in found.values():
                values = {"name": plugin.name, "version": plugin.version, "description": plugin.description}
                PluginConfig.objects.update_or_create(key=plugin.key, defaults=values)
        close_old_connections()
        return found

    def _load(self, key, path, entry, enabled, force_reload):
        manifest = self._manifest(path)
        plugin = LoadedPlugin(
            key, path, manifest.get("name") or entry, manifest.get("version") or "", manifest.get("description") or "",
            taken(PluginFieldSerializer, manifest.get("fields")),
            taken(PluginActionSerializer, manifest.get("actions")),
        )  # fmt: skip
        if not enabled:
            return plugin
        package_name = f"_dispatcharr_plugin_{key}"
        package = types.ModuleType(package_name)
        package.__path__ = [path]
        package.__package__ = package_name
        if force_reload or package_name not in sys.modules:
            sys.modules[package_name] = package
        if entry.isidentifier() and entry not in sys.modules and not self._is_reserved(entry, path):
            sys.modules[entry] = sys.modules[package_name]
        try:
            module = self._import(f"{package_name}.plugin", os.path.join(path, "plugin.py"))
            plugin.instance = module.Plugin()
        except Exception:
            logger.exception("Failed to load plugin %r from %s", key, path)
            return plugin
        # What the code says counts for more than what the manifest says.
        plugin.name = getattr(plugin.instance, "name", "") or plugin.name
        plugin.version = getattr(plugin.instance, "version", "") or plugin.version
        plugin.description = getattr(plugin.instance, "description", "") or plugin.description
        plugin.fields = taken(PluginFieldSerializer, getattr(plugin.instance, "fields", [])) or plugin.fields
        plugin.actions = taken(PluginActionSerializer, getattr(plugin.instance, "actions", [])) or plugin.actions
        return plugin

    @staticmethod
    def _manifest(path):
        try:
            with open(os.path.join(path, "plugin.json"), encoding="utf-8") as file:
                manifest = json.load(file)
        except (OSError, ValueError):
            return {}
        return manifest if isinstance(manifest, dict) else {}

    @staticmethod
    def _is_reserved(name, path):
        spec = importlib.util.find_spec(name)
        return spec is not None and (spec.origin is None or not spec.origin.startswith(path))

    @staticmethod
    def _import(name, path):
        importlib.invalidate_caches()
        spec = importlib.util.spec_from_file_location(name, path)
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
        return module

    def _unload(self, plugin):
        internal = f"_dispatcharr_plugin_{plugin.key}"
        for name, module in list(sys.modules.items()):
            places = [getattr(module, "__file__", None) or "", *(getattr(module, "__path__", None) or ())]
            below = any(place == plugin.path or place.startswith(plugin.path + os.sep) for place in places)
            if below or name == internal or name.startswith(f"{internal}."):
                del sys.modules[name]

    def list_plugins(self):
        """What the page shows of plugins when it is opened; a process that has missed a reload reloads."""
        token = os.path.getmtime(self._token) if os.path.exists(self._token) else 0.0
        if token > self._last_token:
            self.discover_plugins(sync_db=False)
        return [
            {"key": plugin.key, "name": plugin.name, "version": plugin.version, "loaded": plugin.instance is not None,
             "fields": plugin.fields, "actions": plugin.actions}
            for plugin in self.registry.values()
        ]  # fmt: skip

    def update_settings(self, key, settings):
        """Store settings as they are sent."""
        config = PluginConfig.objects.get(key=key)
        config.settings = settings
        config.save(update_fields=["settings", "updated_at"])
        close_old_connections()

    def run_action(self, key, action, params=None):
        """Run an action; returns what the page gets.

        Raises:
            Exception: whatever the action raises.
        """
        try:
            plugin = self.registry.get(key)
            if not plugin or not plugin.instance:
                plugin = self.discover_plugins(sync_db=False).get(key)
                if not plugin or not plugin.instance:
                    raise ValueError(f"Plugin {key!r} not found")
            config = PluginConfig.objects.get(key=key)
            if not config.enabled:
                raise PermissionError(f"Plugin {key!r} is disabled")
            result = plugin.instance.run(action, params or {}, self._context(plugin, config))
            return result if isinstance(result, dict) else {"status": "ok", "result": result}
        finally:
            close_old_connections()

    @staticmethod
    def _context(plugin, config):
        settings = {entry["id"]: entry["default"] for entry in plugin.fields if "default" in entry}
        return {
            "settings": settings | (config.settings or {}),
            "logger": logger,
            "actions": {action["id"]: action for action in plugin.actions},
        }

    def stop_plugin(self, key, reason):
        """Have this process's instance stop, if the plugin is enabled; returns whether there was one."""
        plugin, config = self.registry.get(key), PluginConfig.objects.filter(key=key).first()
        if not plugin or not plugin.instance or not config or not config.enabled:
            return False
        if callable(getattr(plugin.instance, "stop", None)):
            try:
                plugin.instance.stop(self._context(plugin, config) | {"reason": reason})
            except Exception:
                logger.exception("Plugin %r stop() failed", key)
        close_old_connections()
        return True

    def install(self, archive, *, overwrite=False):
        """Unpack a zip as the page's import does, and load; returns the key.

        Raises:
            ValueError: it is not taken.
        """
        unpacked = tempfile.mkdtemp(prefix="plugin_import_")
        try:
            with zipfile.ZipFile(archive) as file:
                members = [member for member in file.infolist() if not member.is_dir()]
                if len(members) > 2_000:
                    raise ValueError("Archive has too many files")
                if sum(member.file_size for member in members) > 200 << 20:
                    raise ValueError("Archive is too large")
                # As Dispatcharr does it: no modes, no links.
                for member in members:
                    target = os.path.join(unpacked, os.path.normpath(member.filename))
                    os.makedirs(os.path.dirname(target), exist_ok=True)
                    with file.open(member) as source, open(target, "wb") as written:
                        shutil.copyfileobj(source, written)
            folders = [(folder.count(os.sep), folder) for folder, _, names in os.walk(unpacked) if "plugin.py" in names]
            if not folders:
                raise ValueError("Invalid plugin: missing plugin.py or package __init__.py")
            chosen = min(folders)[1]
            key = os.path.basename(chosen).replace(" ", "_").replace("-", "_").lower()
            self._put(chosen, os.path.join(self.plugins_dir, key), overwrite)
        finally:
            shutil.rmtree(unpacked, ignore_errors=True)
        PluginConfig.objects.get_or_create(key=key, defaults={"name": key})
        self.discover_plugins(force_reload=True)
        return key

    @staticmethod
    def _put(chosen, final, overwrite):
        backup = f"{final}.__backup__"
        if os.path.exists(final):
            if not overwrite:
                raise ValueError(f"Plugin {os.path.basename(final)!r} already exists")
            shutil.rmtree(backup, ignore_errors=True)
            os.rename(final, backup)
        shutil.move(chosen, final)
        shutil.rmtree(backup, ignore_errors=True)

    def set_enabled(self, key, enabled):
        """What the switch does."""
        config = PluginConfig.objects.get(key=key)
        if not enabled and config.enabled:
            self.stop_plugin(key, "disable")
        config.enabled, config.ever_enabled = enabled, config.ever_enabled or enabled
        config.save()
        self.discover_plugins(force_reload=True)

    def reload(self):
        """What the button for reloading does."""
        for key in list(self.registry):
            self.stop_plugin(key, "reload")
        self.discover_plugins(force_reload=True)

    def delete(self, key):
        """What the button for deleting does. A disabled plugin is not told."""
        self.stop_plugin(key, "delete")
        shutil.rmtree(os.path.join(self.plugins_dir, key))
        PluginConfig.objects.filter(key=key).delete()
        self.discover_plugins(force_reload=True)
