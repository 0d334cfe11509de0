"""Packs app.py with Pillow and deploys it through the AWS API."""

import io
import json
import pathlib
import subprocess
import sys
import tempfile
import zipfile

from settings import FUNCTION, ROLE, RUNTIME, client

HERE = pathlib.Path(__file__).parent
TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}


def build():
    """The deployment package: app.py and what requirements.txt names."""
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile"]
        subprocess.run([*pip, "--root-user-action=ignore", "--target", folder, "-r", HERE / "requirements.txt"], check=True)
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.write(HERE / "app.py", "app.py")
            for path in sorted(folder.rglob("*")):
                if path.is_file():
                    archive.write(path, path.relative_to(folder))
        return buffer.getvalue()


def ensure_role():
    """The execution role's ARN; the role is made if need be."""
    iam = client("iam")
    try:
        return iam.create_role(RoleName=ROLE, AssumeRolePolicyDocument=json.dumps(TRUST))["Role"]["Arn"]
    except iam.exceptions.EntityAlreadyExistsException:
        return iam.get_role(RoleName=ROLE)["Role"]["Arn"]


def main():
    print(f"packing {FUNCTION} with Pillow for {RUNTIME}")
    code = build()
    role = ensure_role()
    lambda_ = client("lambda")
    try:
        lambda_.create_function(
            FunctionName=FUNCTION,
            Runtime=RUNTIME,
            Role=role,
            Handler="app.handler",
            Code={"ZipFile": code},
            MemorySize=512,
            Timeout=30,
        )
    except lambda_.exceptions.ResourceConflictException:
        lambda_.update_function_code(FunctionName=FUNCTION, ZipFile=code)
        lambda_.get_waiter("function_updated_v2").wait(FunctionName=FUNCTION)
    lambda_.get_waiter("function_active_v2").wait(FunctionName=FUNCTION)
    print(f"deployed {FUNCTION}: {len(code) / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
