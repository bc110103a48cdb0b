"""The second lock: functions, row-level security and the resolver's questions."""

from pathlib import Path

from django.db import migrations

from kaireon.tenancy.rls import global_table, resolver_function, tenant_table

WALLS = (Path(__file__).resolve().parent.parent / "walls.sql").read_text()


class Migration(migrations.Migration):
    dependencies = [
        ("tenancy", "0001_initial"),
        ("contenttypes", "0002_remove_content_type_name"),
        ("auth", "0012_alter_user_first_name_max_length"),
    ]

    operations = [
        migrations.RunSQL(WALLS, ""),
        tenant_table("tenancy_tenant", "SELECT, INSERT, UPDATE", column="id", resolver=True),
        tenant_table("tenancy_membership", resolver=True),
        tenant_table("tenancy_apikey", "SELECT, INSERT, UPDATE", resolver=True),
        tenant_table("tenancy_refreshtoken", resolver=True),
        tenant_table("tenancy_idempotencykey"),
        global_table("tenancy_user", "SELECT, INSERT, UPDATE"),
        global_table("django_content_type", "SELECT"),
        global_table("auth_permission", "SELECT"),
        global_table("django_migrations", "SELECT"),
        migrations.RunSQL("GRANT SELECT ON public.tenancy_user TO kaireon_resolver", ""),
        resolver_function(
            "resolve_api_key(wanted text)",
            "TABLE (id uuid, tenant_id text, name text, secret_hash text, role text, scopes text,"
            " expires_at timestamptz, revoked_at timestamptz, last_used_at timestamptz, tenant_is_active boolean)",
            """
            SELECT k.id, k.tenant_id::text, k.name::text, k.secret_hash::text, k.role::text,
                   (SELECT string_agg(s, ',') FROM jsonb_array_elements_text(k.scopes) s),
                   k.expires_at, k.revoked_at, k.last_used_at, t.is_active
              FROM public.tenancy_apikey k JOIN public.tenancy_tenant t ON t.id = k.tenant_id
             WHERE k.prefix = wanted
            """,
        ),
        resolver_function(
            "resolve_memberships(wanted uuid)",
            "TABLE (tenant_id text, tenant_name text, role text)",
            """
            SELECT m.tenant_id::text, t.name::text, m.role::text
              FROM public.tenancy_membership m JOIN public.tenancy_tenant t ON t.id = m.tenant_id
             WHERE m.user_id = wanted AND t.is_active ORDER BY t.name, t.id
            """,
        ),
        resolver_function(
            "resolve_refresh_token(wanted text)",
            "TABLE (id uuid, tenant_id text, user_id uuid, family uuid)",
            """
            SELECT r.id, r.tenant_id::text, r.user_id, r.family
              FROM public.tenancy_refreshtoken r WHERE r.token_hash = wanted
            """,
        ),
        resolver_function(
            "active_tenants()",
            "TABLE (id text)",
            "SELECT t.id::text FROM public.tenancy_tenant t WHERE t.is_active ORDER BY t.id",
        ),
    ]
