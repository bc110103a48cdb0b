-- Dispositions are append-only but for the counting: a row grows while its purge lasts, and nothing else happens to it,
-- whoever asks. The triggers fire in replica sessions too.

CREATE FUNCTION public.disposition_grows() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    -- What the run counts up; all else stays as it was first written.
    IF to_jsonb(NEW) - '{rows,clock_from,clock_until,last_at}'::text[]
       IS DISTINCT FROM to_jsonb(OLD) - '{rows,clock_from,clock_until,last_at}'::text[]
       OR NEW.rows < OLD.rows OR NEW.clock_from > OLD.clock_from OR NEW.clock_until < OLD.clock_until
       OR NEW.last_at < OLD.last_at THEN
        RAISE EXCEPTION 'append-only: a disposition counts up, and nothing else of it changes'
            USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN NEW;
END $$;

CREATE FUNCTION public.disposition_stays() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RAISE EXCEPTION 'append-only: % of dispositions is refused for every role', TG_OP
        USING ERRCODE = 'insufficient_privilege';
END $$;

CREATE TRIGGER disposition_grows BEFORE UPDATE ON public.compliance_disposition
    FOR EACH ROW EXECUTE FUNCTION public.disposition_grows();
CREATE TRIGGER disposition_stays BEFORE DELETE OR TRUNCATE ON public.compliance_disposition
    FOR EACH STATEMENT EXECUTE FUNCTION public.disposition_stays();
ALTER TABLE public.compliance_disposition ENABLE ALWAYS TRIGGER disposition_grows;
ALTER TABLE public.compliance_disposition ENABLE ALWAYS TRIGGER disposition_stays;
