"""Zip packages for functions, made in memory."""

import io
import zipfile


def package(files):
    """A zip of `files`: name -> text, bytes, or (bytes, mode)."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            content, mode = content if isinstance(content, tuple) else (content, 0o644)
            info = zipfile.ZipInfo(name)
            info.external_attr = (0o100000 | mode) << 16
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, content)
    return buffer.getvalue()


def python_package(source):
    """A package with `source` as `app.py`."""
    return package({"app.py": source})


def folder_package(folder, executables=()):
    """A package of all files below `folder`."""
    files = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            name = str(path.relative_to(folder))
            files[name] = (path.read_bytes(), 0o755 if name in executables else 0o644)
    return package(files)
