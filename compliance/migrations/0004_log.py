"""The audit log under legal hold's guard: a prefix leaves it while the class `audit` is not held, and never else.

Written out, not by `guarded`: the log has a refusal of TRUNCATE of its own, which says more.
"""

from django.db import migrations

GUARD = """
CREATE TRIGGER hold_guard BEFORE DELETE ON public.audit_record
    FOR EACH STATEMENT EXECUTE FUNCTION public.hold_guard_log('audit');
ALTER TABLE public.audit_record ENABLE ALWAYS TRIGGER hold_guard;
SET LOCAL ROLE kaireon_resolver;
GRANT EXECUTE ON FUNCTION public.hold_check(text, boolean), public.hold_touches(text, boolean) TO kaireon_pruner;
RESET ROLE;
"""


class Migration(migrations.Migration):
    dependencies = [("compliance", "0003_gauges"), ("audit", "0008_prune")]

    operations = [migrations.RunSQL(GUARD, "DROP TRIGGER hold_guard ON public.audit_record")]
