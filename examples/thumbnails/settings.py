"""What deploy.py and run.py share: names and AWS clients, pointed at gust unless the environment says otherwise."""

import os
import sys

import boto3

FUNCTION = "thumbnails"
ROLE = "thumbnails-role"
# The runtime of the Python that runs this script, so that Pillow's compiled parts fit.
RUNTIME = f"python3.{sys.version_info[1]}"


def client(service):
    """An ordinary AWS client."""
    options = {}
    if "AWS_ACCESS_KEY_ID" not in os.environ:
        options = dict(aws_access_key_id="000000000000", aws_secret_access_key="gust")
    return boto3.client(
        service,
        region_name=os.environ.get("AWS_REGION", "us-east-1"),
        endpoint_url=os.environ.get("AWS_ENDPOINT_URL", "http://127.0.0.1:4566"),
        **options,
    )
