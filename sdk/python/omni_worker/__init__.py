"""A worker for Omni: functions that handle jobs of queues. See README.md."""

from .errors import Cancelled, Fail, Retry, SoftTimeout, WorkerError
from .job import Job, Parent, Result
from .worker import Worker

__all__ = ["Cancelled", "Fail", "Job", "Parent", "Result", "Retry", "SoftTimeout", "Worker",
           "WorkerError"]
__version__ = "0.1.0"
