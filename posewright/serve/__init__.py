"""`posewright serve`: an HTTP API on one machine, with one process and one table of jobs.

settings   what the server is told
app        the routes, put together
running    the listening socket, and what ends slow connections
guard      what every request passes: Host, Origin, token, size
tokens     who asks, and addresses that are signed
problems   errors as problem+json
forms      uploads, as they arrive
poses      POST /v1/pose
batching   requests that wait, in one call of the pipeline
metrics    GET /metrics
jobs       the table of jobs
kinds      which verb a kind of job is, and its options
places     files by names that only a listing can give
catalogue  the networks and data that a job may name
unpacking  archives of labelled data
workers    jobs, each a process of its own
fence      what such a process may open
job_routes the routes of jobs
protocol   the Open Inference Protocol, version 2
tensors    its tensors, as bytes and as JSON
live       WS /v1/live
page       GET /docs
assets     GET /, and the files of `web`, the page in the browser
"""

from posewright.serve.app import create_app, holding
from posewright.serve.running import run
from posewright.serve.settings import Settings

__all__ = ["Settings", "create_app", "holding", "run"]
