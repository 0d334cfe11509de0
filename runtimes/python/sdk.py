"""The AWS SDK for Python, loaded once in a zygote and handed to those of its children that would load the same.

Loading boto3 and making a first client takes most of a second; what that leaves in memory is the same for every function.
A function must not be able to tell the difference, so the modules of the SDK are set aside until the function imports one
of them. Then the import system is asked, as it would be without this, where each of the SDK's packages is found: only if
all of them are those of /var/runtime that were loaded ahead, they are put in place, else they are forgotten and loaded as
usual. Packages of the function, of its layers, or of any folder that it puts in front of `sys.path`, are thus its own.

Modules of the standard library that the SDK uses stay loaded, like those of the runtime itself, unless the function or a
layer has a module of the same name.

No credentials are read, no connection is opened, no thread is started here.
"""

import importlib.machinery
import os
import sys
import types

SDK_DIR = "/var/runtime"

# Services whose descriptions are read ahead: those that functions use most, as each costs memory.
SERVICES = ("sts", "s3", "dynamodb", "sqs", "sns", "lambda", "secretsmanager", "ssm")


class Loader:
    """Hands out modules that were loaded already."""

    def __init__(self, module):
        self.module = module
        self.spec = module.__spec__

    def create_module(self, spec):
        return self.module

    def exec_module(self, module):
        # The import system has just put its own in place.
        module.__spec__ = self.spec
        module.__loader__ = self.spec.loader


class Aside:
    """What was loaded ahead; a finder of the import system as long as nothing was asked for."""

    def __init__(self, modules, standard):
        self.modules = modules
        self.packages = {name: module for name, module in modules.items() if "." not in name}
        self.standard = standard

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] not in self.packages:
            return None
        modules, packages = self.modules, self.packages
        self.forget()
        if any(package in sys.modules or not is_found_there(module) for package, module in packages.items()):
            return None
        sys.modules.update(modules)
        find_home(modules.get("botocore.loaders"))
        del sys.modules[name]
        module = modules[name]
        return importlib.machinery.ModuleSpec(name, Loader(module), is_package=hasattr(module, "__path__"))

    def forget(self):
        if self in sys.meta_path:
            sys.meta_path.remove(self)
        self.modules = self.packages = {}

    def settle(self, folders):
        """Called with the function's code in place: these folders come before the standard library."""
        names = {name.partition(".")[0] for name in self.standard}
        for folder in folders:
            try:
                entries = os.listdir(folder)
            except OSError:
                continue
            if any(entry.partition(".")[0] in names for entry in entries):
                for name in self.standard:
                    sys.modules.pop(name, None)
                self.forget()
                return
        sys.meta_path.insert(0, self)


def is_found_there(module):
    spec = importlib.machinery.PathFinder.find_spec(module.__name__)
    return spec is not None and spec.origin == module.__spec__.origin


def load():
    """Loads the SDK in a zygote. Returns what was set aside; None if there is no SDK."""
    lean = set(sys.modules)
    path = sys.path[:]
    sys.path.append(SDK_DIR)
    try:
        import botocore.loaders
        import boto3.session

        rehearse(boto3, botocore.loaders)
    except ImportError:
        return None
    finally:
        sys.path[:] = path
    loaded = {name: module for name, module in sys.modules.items() if name not in lean}
    own = {name.partition(".")[0] for name, module in loaded.items() if is_own(module)}
    aside = {name: module for name, module in loaded.items() if name.partition(".")[0] in own}
    for name in aside:
        del sys.modules[name]
    return Aside(aside, [name for name in loaded if name not in aside])


def is_own(module):
    origin = getattr(getattr(module, "__spec__", None), "origin", None)
    return isinstance(origin, str) and origin.startswith(SDK_DIR + "/")


def rehearse(boto3, loaders):
    """Makes clients once, with keys of nobody, and keeps of it what belongs to no client."""
    notes = [ServiceList(loaders), Descriptions(loaders), Aliases(), Signatures()]
    for service in SERVICES:
        boto3.session.Session(
            aws_access_key_id="rehearsal", aws_secret_access_key="rehearsal", region_name="us-east-1"
        ).client(service)
    forget_host()
    for note in notes:
        note.use()


class Descriptions:
    """What is read of the descriptions of services. Each is handed out once, because whoever reads it may change it."""

    def __init__(self, loaders):
        self.loader = loaders.JSONFileLoader
        self.read = read = self.loader.load_file
        self.paths = paths = {}

        def load_file(self, file_path):
            paths[file_path] = None
            return read(self, file_path)

        self.loader.load_file = load_file

    def use(self):
        read, loader = self.read, self.loader()
        descriptions = {path: read(loader, path) for path in self.paths if loader.exists(path)}

        def load_file(self, file_path):
            description = descriptions.pop(file_path, None)
            return read(self, file_path) if description is None else description

        self.loader.load_file = load_file


class ServiceList:
    """The names of all services, for which botocore looks into a folder for each, by what is asked and where."""

    def __init__(self, loaders):
        self.loader = getattr(loaders, "Loader", None)
        self.search = search = getattr(self.loader, "list_available_services", None)
        self.seen = seen = {}
        if search is None:
            return

        def list_available_services(self, type_name):
            names = search(self, type_name)
            seen[places(self, type_name)] = list(names)
            return names

        self.loader.list_available_services = list_available_services

    def use(self):
        search, seen = self.search, self.seen
        if search is None:
            return

        def list_available_services(self, type_name):
            names = seen.get(places(self, type_name))
            return search(self, type_name) if names is None else list(names)

        self.loader.list_available_services = list_available_services


def places(loader, type_name):
    return (type_name, *(path for path in loader.search_paths if os.path.isdir(path)))


class Aliases:
    """Names of events that were compared with all aliases of botocore's own."""

    def __init__(self):
        self.hooks = sys.modules.get("botocore.hooks")
        self.aliaser = getattr(self.hooks, "EventAliaser", None)
        if self.aliaser is None:
            return
        self.begin = begin = self.aliaser.__init__
        self.made = made = []

        def __init__(self, *args, **kwargs):
            begin(self, *args, **kwargs)
            made.append(self)

        self.aliaser.__init__ = __init__

    def use(self):
        if self.aliaser is None:
            return
        begin, own, seen = self.begin, getattr(self.hooks, "EVENT_ALIASES", None), {}
        for aliaser in self.made:
            if getattr(aliaser, "_event_aliases", None) == own:
                seen.update(getattr(aliaser, "_alias_name_cache", {}))
        self.made.clear()

        def __init__(self, *args, **kwargs):
            begin(self, *args, **kwargs)
            if seen and self._event_aliases == own:
                self._alias_name_cache.update(seen)

        self.aliaser.__init__ = __init__


class Signatures:
    """Which functions of botocore's own take any keyword."""

    def __init__(self):
        self.hooks = sys.modules.get("botocore.hooks")
        self.look = look = getattr(self.hooks, "accepts_kwargs", None)
        self.seen = seen = {}
        if look is None:
            return

        def accepts_kwargs(func):
            answer = look(func)
            if type(func) is types.FunctionType:
                seen[func] = answer
            return answer

        self.hooks.accepts_kwargs = accepts_kwargs

    def use(self):
        look, seen = self.look, self.seen
        if look is None:
            return

        def accepts_kwargs(func):
            return seen[func] if type(func) is types.FunctionType and func in seen else look(func)

        self.hooks.accepts_kwargs = accepts_kwargs


def find_home(loaders):
    """The one path that botocore makes of the environment when it is imported."""
    loader = getattr(loaders, "Loader", None)
    if hasattr(loader, "CUSTOMER_DATA_PATH"):
        loader.CUSTOMER_DATA_PATH = os.path.join(os.path.expanduser("~"), ".aws", "models")


def forget_host():
    """The names of the machine, which some module may have looked up."""
    platform = sys.modules.get("platform")
    if platform is not None:
        platform._uname_cache = None
