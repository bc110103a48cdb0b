-- Capture and append-only walls. Every function names schemas in full, keeps temporary tables out of its path and
-- listens to no session switch. Capture runs as kaireon_capture, whose one right is to insert into the inbox.

-- For what comes once a statement or a call: bulk facts and events. Rows have functions of their own, see capture.py.
CREATE FUNCTION public.audit_write(
    tenant text, operation text, action text, entity_type text, entity_id text, entity_name text,
    changes jsonb, before jsonb, after jsonb
) RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    actor_type text := current_setting('app.actor_type', true);
BEGIN
    IF actor_type IS NULL OR actor_type NOT IN ('user', 'api_key', 'job', 'system') THEN
        RAISE EXCEPTION 'a change of % needs an actor', entity_type
            USING ERRCODE = 'insufficient_privilege', HINT = 'Set app.actor_type, app.actor_id, app.actor_name first.';
    END IF;
    IF tenant IS NULL OR tenant = '' THEN
        RAISE EXCEPTION 'a change of % needs a tenant', entity_type USING ERRCODE = 'insufficient_privilege';
    END IF;
    INSERT INTO public.audit_inbox (tenant_id, operation, action, entity_type, entity_id, entity_name,
        changes, before, after, user_id, user_name, actor_type, request_id, "timestamp")
    -- The log's indexes take texts of this length whatever their script; a longer one would stop the tenant's log.
    VALUES (tenant, operation, left(action, 400), left(entity_type, 200), left(entity_id, 400), entity_name,
        changes, before, after, nullif(left(current_setting('app.actor_id', true), 400), ''),
        coalesce(nullif(left(current_setting('app.actor_name', true), 400), ''), 'system'), actor_type,
        nullif(left(current_setting('app.request_id', true), 400), ''), clock_timestamp());
END $$;

-- Statement trigger for bulk facts: how many rows, and over what range. Arguments: entity, range column.
CREATE FUNCTION public.audit_capture_bulk() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    touched record;
BEGIN
    FOR touched IN EXECUTE format(
        'SELECT tenant_id::text AS tenant, count(*) AS n, min(%1$I) AS low, max(%1$I) AS high FROM %2$I GROUP BY 1',
        TG_ARGV[1], CASE TG_OP WHEN 'DELETE' THEN 'old_rows' ELSE 'new_rows' END)
    LOOP
        PERFORM public.audit_write(
            touched.tenant, 'B', CASE TG_OP WHEN 'INSERT' THEN 'create' WHEN 'UPDATE' THEN 'update' ELSE 'delete' END,
            TG_ARGV[0], TG_ARGV[0], NULL,
            jsonb_build_object('table', TG_TABLE_NAME, 'count', touched.n, 'from', touched.low, 'to', touched.high),
            NULL, NULL);
    END LOOP;
    RETURN NULL;
END $$;

-- The same record for rows of the active tenant that went with their table, which fires no trigger. The owner's alone.
CREATE FUNCTION public.audit_dropped(entity text, name text, gone bigint, low timestamptz, high timestamptz)
RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM public.audit_write(public.current_tenant(), 'B', 'delete', entity, entity, NULL,
        jsonb_build_object('table', name, 'count', gone, 'from', low, 'to', high), NULL, NULL);
END $$;

-- What changes no row: the application's one way to write to the inbox.
CREATE FUNCTION public.audit_event(
    to_platform boolean, action text, entity_type text, entity_id text, entity_name text, changes jsonb
) RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM public.audit_write(
        CASE WHEN to_platform THEN '_platform' ELSE public.current_tenant() END,
        'E', action, entity_type, entity_id, entity_name, changes, NULL, NULL);
END $$;

CREATE FUNCTION public.audit_refuse_truncate() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RAISE EXCEPTION 'every change of % is recorded: TRUNCATE is refused for every role', TG_TABLE_NAME
        USING ERRCODE = 'insufficient_privilege', HINT = 'Use DELETE.';
END $$;

CREATE FUNCTION public.audit_refuse() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RAISE EXCEPTION '% is append-only: % is refused for every role', TG_TABLE_NAME, TG_OP
        USING ERRCODE = 'insufficient_privilege';
END $$;

-- What only the sequencer does: it empties the inbox into the log and moves the head on.
CREATE FUNCTION public.audit_sequencer_only() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF current_user = 'kaireon_sequencer' THEN
        RETURN NULL;
    END IF;
    RAISE EXCEPTION '% is append-only: % is refused for every role but the sequencer', TG_TABLE_NAME, TG_OP
        USING ERRCODE = 'insufficient_privilege';
END $$;

REVOKE ALL ON FUNCTION public.audit_write(text, text, text, text, text, text, jsonb, jsonb, jsonb) FROM PUBLIC;
REVOKE ALL ON FUNCTION public.audit_capture_bulk() FROM PUBLIC;
REVOKE ALL ON FUNCTION public.audit_dropped(text, text, bigint, timestamptz, timestamptz) FROM PUBLIC;
REVOKE ALL ON FUNCTION public.audit_event(boolean, text, text, text, text, jsonb) FROM PUBLIC;

-- In the order of arrival; the key leads with the tenant, as the sequencer reads.
ALTER TABLE public.audit_inbox ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY;

REVOKE ALL ON public.audit_inbox, public.audit_record, public.audit_head FROM PUBLIC, kaireon_app;
ALTER TABLE public.audit_inbox ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.audit_inbox FORCE ROW LEVEL SECURITY;
CREATE POLICY capture ON public.audit_inbox FOR INSERT TO kaireon_capture WITH CHECK (true);
GRANT INSERT ON public.audit_inbox TO kaireon_capture;
CREATE POLICY sequencer ON public.audit_inbox TO kaireon_sequencer USING (true);
GRANT SELECT, DELETE ON public.audit_inbox TO kaireon_sequencer;

SELECT public.secure_one_table('public.audit_record', 'tenant_id', 'SELECT', false);
CREATE POLICY sequencer ON public.audit_record TO kaireon_sequencer USING (true) WITH CHECK (true);
GRANT SELECT, INSERT ON public.audit_record TO kaireon_sequencer;

SELECT public.secure_one_table('public.audit_head', 'tenant_id', 'SELECT', false);
CREATE POLICY sequencer ON public.audit_head TO kaireon_sequencer USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, UPDATE ON public.audit_head TO kaireon_sequencer;

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON public.audit_record
    FOR EACH STATEMENT EXECUTE FUNCTION public.audit_refuse();
CREATE TRIGGER sequencer_only BEFORE INSERT ON public.audit_record
    FOR EACH STATEMENT EXECUTE FUNCTION public.audit_sequencer_only();
CREATE TRIGGER append_only BEFORE DELETE OR TRUNCATE ON public.audit_head
    FOR EACH STATEMENT EXECUTE FUNCTION public.audit_refuse();
CREATE TRIGGER sequencer_only BEFORE INSERT OR UPDATE ON public.audit_head
    FOR EACH STATEMENT EXECUTE FUNCTION public.audit_sequencer_only();
CREATE TRIGGER append_only BEFORE UPDATE OR TRUNCATE ON public.audit_inbox
    FOR EACH STATEMENT EXECUTE FUNCTION public.audit_refuse();
CREATE TRIGGER sequencer_only BEFORE DELETE ON public.audit_inbox
    FOR EACH STATEMENT EXECUTE FUNCTION public.audit_sequencer_only();

-- The inbox turns over all day: keep it small, and its plans right, without waiting for the defaults.
ALTER TABLE public.audit_inbox SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000,
    autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 5000);

-- Sealed values do not compress: trying to takes a third of the time that appending does.
ALTER TABLE public.audit_record SET (toast_tuple_target = 4096);

ALTER FUNCTION public.audit_capture_bulk() OWNER TO kaireon_capture;
ALTER FUNCTION public.audit_dropped(text, text, bigint, timestamptz, timestamptz) OWNER TO kaireon_capture;
ALTER FUNCTION public.audit_event(boolean, text, text, text, text, jsonb) OWNER TO kaireon_capture;
ALTER FUNCTION public.audit_write(text, text, text, text, text, text, jsonb, jsonb, jsonb) OWNER TO kaireon_capture;

-- Granted by the new owner: a grant of the old one to itself would have turned into the new one's.
SET LOCAL ROLE kaireon_capture;
GRANT EXECUTE ON FUNCTION public.audit_capture_bulk() TO kaireon_owner;
GRANT EXECUTE ON FUNCTION public.audit_dropped(text, text, bigint, timestamptz, timestamptz) TO kaireon_owner;
GRANT EXECUTE ON FUNCTION public.audit_event(boolean, text, text, text, text, jsonb) TO kaireon_app, kaireon_owner;
RESET ROLE;
