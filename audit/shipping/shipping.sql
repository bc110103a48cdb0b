-- The walls of shipping: each tenant reads and moves its own; receipts stay, and only whether they arrived is noted.

SELECT public.secure_one_table('public.audit_cursor', 'tenant_id', 'SELECT, INSERT, UPDATE', true);

SELECT public.secure_one_table('public.audit_shippingreceipt', 'tenant_id', 'SELECT, INSERT', false);
GRANT UPDATE (shipped_at, error) ON public.audit_shippingreceipt TO kaireon_app;
CREATE TRIGGER append_only BEFORE DELETE OR TRUNCATE ON public.audit_shippingreceipt
    FOR EACH STATEMENT EXECUTE FUNCTION public.audit_refuse();
CREATE TRIGGER append_only_columns BEFORE UPDATE OF id, tenant_id, destination, first_seq, last_seq, records,
    leaves_hash, key_version, note, confirmed_at ON public.audit_shippingreceipt
    FOR EACH STATEMENT EXECUTE FUNCTION public.audit_refuse();

SELECT public.secure_one_table('public.audit_unshippable', 'tenant_id', 'SELECT, INSERT', true);
GRANT UPDATE (resolved_at) ON public.audit_unshippable TO kaireon_app;
CREATE TRIGGER append_only BEFORE DELETE OR TRUNCATE ON public.audit_unshippable
    FOR EACH STATEMENT EXECUTE FUNCTION public.audit_refuse();
CREATE TRIGGER append_only_columns BEFORE UPDATE OF id, tenant_id, destination, first_seq, last_seq, code, noted_at
    ON public.audit_unshippable
    FOR EACH STATEMENT EXECUTE FUNCTION public.audit_refuse();
