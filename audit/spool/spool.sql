-- Events recorded outside any transaction. Each has an id: who cannot know whether it arrived, because the connection
-- broke while it was being committed, sends it again. One that comes later than it happened says so.

-- Late by more than this many days, an event is refused; its id is remembered for a day longer than that.
CREATE FUNCTION public.audit_event_once(
    event_id uuid, occurred timestamptz, to_platform boolean, action text, entity_type text, entity_id text,
    entity_name text, changes jsonb
) RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    tenant text := CASE WHEN to_platform THEN '_platform' ELSE public.current_tenant() END;
    actor_type text := current_setting('app.actor_type', true);
    here timestamptz := clock_timestamp();
BEGIN
    IF actor_type IS NULL OR actor_type NOT IN ('user', 'api_key', 'job', 'system') THEN
        RAISE EXCEPTION 'an event of % needs an actor', entity_type
            USING ERRCODE = 'insufficient_privilege', HINT = 'Set app.actor_type, app.actor_id, app.actor_name first.';
    END IF;
    -- Clocks of two machines differ a little; who would date events at will may not.
    IF occurred NOT BETWEEN here - interval '30 days' AND here + interval '5 minutes' THEN
        RAISE EXCEPTION 'an event of % is dated outside the last 30 days', entity_type
            USING ERRCODE = 'datetime_field_overflow';
    END IF;
    INSERT INTO public.audit_arrival (tenant_id, event_id, arrived_at) VALUES (tenant, event_id, here)
        ON CONFLICT DO NOTHING;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    INSERT INTO public.audit_inbox (tenant_id, operation, action, entity_type, entity_id, entity_name,
        changes, user_id, user_name, actor_type, request_id, "timestamp")
    -- As in audit_write.
    VALUES (tenant, 'E', left(action, 400), left(entity_type, 200), left(entity_id, 400), entity_name,
        CASE WHEN occurred IS NULL THEN changes ELSE coalesce(changes, '{}') || '{"late": true}' END,
        nullif(left(current_setting('app.actor_id', true), 400), ''),
        coalesce(nullif(left(current_setting('app.actor_name', true), 400), ''), 'system'), actor_type,
        nullif(left(current_setting('app.request_id', true), 400), ''), coalesce(occurred, here));
    RETURN true;
END $$;

REVOKE ALL ON FUNCTION public.audit_event_once(uuid, timestamptz, boolean, text, text, text, text, jsonb) FROM PUBLIC;

REVOKE ALL ON public.audit_arrival FROM PUBLIC, kaireon_app;
ALTER TABLE public.audit_arrival ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.audit_arrival FORCE ROW LEVEL SECURITY;
CREATE POLICY capture ON public.audit_arrival FOR INSERT TO kaireon_capture WITH CHECK (true);
GRANT INSERT ON public.audit_arrival TO kaireon_capture;
-- The sequencer forgets the old ones, and may not forget a young one.
CREATE POLICY sequencer ON public.audit_arrival TO kaireon_sequencer
    USING (arrived_at < clock_timestamp() - interval '31 days');
GRANT SELECT (arrived_at), DELETE ON public.audit_arrival TO kaireon_sequencer;
CREATE TRIGGER unchanged BEFORE UPDATE OR TRUNCATE ON public.audit_arrival
    FOR EACH STATEMENT EXECUTE FUNCTION public.audit_refuse();
CREATE TRIGGER sequencer_only BEFORE DELETE ON public.audit_arrival
    FOR EACH STATEMENT EXECUTE FUNCTION public.audit_sequencer_only();

ALTER FUNCTION public.audit_event_once(uuid, timestamptz, boolean, text, text, text, text, jsonb)
    OWNER TO kaireon_capture;
SET LOCAL ROLE kaireon_capture;
GRANT EXECUTE ON FUNCTION public.audit_event_once(uuid, timestamptz, boolean, text, text, text, text, jsonb)
    TO kaireon_app, kaireon_owner;
RESET ROLE;
