"""The base of every task on tenant data: it names its tenant or does not run."""

from typing import Any

from celery import Task

from kaireon.tenancy import serving
from kaireon.tenancy.context import Actor, scope


class TenantRequired(TypeError):
    """A task on tenant data was called without `tenant_id=`."""


class TenantTask(Task):  # type: ignore[type-arg]
    """Runs in the scope of its `tenant_id` argument, as the job that the task's name says.

    Arguments are ids, never personal data; unknown newer arguments are taken and ignored.
    """

    abstract = True

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        tenant = kwargs.get("tenant_id")
        if args or not isinstance(tenant, str) or not tenant:
            raise TenantRequired(f"{self.name} takes keyword arguments only and needs tenant_id.")
        with scope(tenant_id=tenant, actor=Actor.job(self.name), request_id=str(self.request.id or "")):
            serving.require()
            # Whoever runs tasks has said already which request this is; Celery's own `__call__` would say it again.
            return self.run(**kwargs)
