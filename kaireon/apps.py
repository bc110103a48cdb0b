"""The admin is ours: one site that shows the chosen tenant and nothing else."""

from django.contrib.admin.apps import AdminConfig


class KaireonAdminConfig(AdminConfig):
    default_site = "kaireon.tenancy.admin_site.KaireonAdminSite"
