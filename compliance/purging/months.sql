-- A month that goes whole: its partition is dropped once nobody has a reason to keep a row of it. DROP fires no trigger,
-- so the function below asks itself what the guards would have asked, and leaves the records that they would have left.
--
-- Its locks come first: one on the partition, after which nobody writes into the month, then the epoch of every tenant
-- that has rows there, after which nobody places a hold on them nor decides for how long they stay. What it acts on it
-- reads after them. It runs as the owner, who is bound by the policies like everybody, and so goes from tenant to tenant.

-- Every tenant there is, also one that is suspended.
CREATE FUNCTION public.month_tenants() RETURNS TABLE (id text, active boolean)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT t.id::text, t.is_active FROM public.tenancy_tenant t ORDER BY t.id
$$;

-- What counts for a class of the active tenant at a moment, as compliance/retention/in_force.py has it; no row: nobody
-- said how long. `floors` is what laws ask of the class, [{law, days, citation, starts}]; who is bound by which is read here.
CREATE FUNCTION public.month_terms(wanted text, floors jsonb, at timestamptz)
RETURNS TABLE (days integer, version integer, law text, anchor text)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    counts public.compliance_policyversion;
    least_days integer;
    citation text;
BEGIN
    SELECT v.* INTO counts FROM public.compliance_policyversion v
     WHERE v.tenant_id = public.current_tenant() AND v.data_class = wanted ORDER BY v.number DESC LIMIT 1;
    -- One that still waits leaves in force what it replaces.
    IF counts.effective_from > counts.created_at AND at < counts.effective_from THEN
        SELECT v.* INTO counts FROM public.compliance_policyversion v
         WHERE v.tenant_id = public.current_tenant() AND v.id = counts.replaces_id;
    END IF;
    IF counts.id IS NULL THEN
        RETURN;
    END IF;
    SELECT (f.said ->> 'days')::integer, f.said ->> 'citation' INTO least_days, citation
      FROM jsonb_array_elements(floors) WITH ORDINALITY f (said, place)
      JOIN public.compliance_bindinglaw b ON b.tenant_id = public.current_tenant() AND b.name = f.said ->> 'law'
     WHERE (b.until IS NULL OR b.until > at) AND ((f.said ->> 'starts') IS NULL OR (f.said ->> 'starts')::timestamptz <= at)
     ORDER BY 1 DESC, f.place LIMIT 1;
    days := greatest(counts.retention_days, least_days);
    version := counts.number;
    anchor := counts.anchor;
    law := CASE WHEN least_days > counts.retention_days THEN citation ELSE '' END;
    RETURN NEXT;
END $$;

-- Each tenant that has rows in the month, and why they stay; the first that keeps any is the last that is looked at.
-- Only the `last` look takes epochs, asks for holds with a scope and counts. It leaves the active tenant as it falls.
CREATE FUNCTION public.month_look(part text, scope text[], floors jsonb, ends timestamptz, given timestamptz, last boolean)
RETURNS TABLE (tenant text, kept_by text, gone bigint, low timestamptz, high timestamptz, days integer, version integer, law text)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    target regclass := format('public.%I', part)::regclass;
    is_active boolean;
    found boolean;
    then_terms record;
    now_terms record;
    search text;
BEGIN
    FOR tenant, is_active IN SELECT t.id, t.active FROM public.month_tenants() t LOOP
        PERFORM set_config('app.tenant_id', tenant, true);
        EXECUTE format('SELECT EXISTS (SELECT FROM %s o WHERE o.tenant_id = $1)', target) INTO found USING tenant;
        CONTINUE WHEN NOT found;
        IF last THEN
            PERFORM public.hold_check('', false);
        END IF;
        -- By the clock of who asks and by ours: whichever keeps longer. A clock that runs ahead makes nothing due.
        SELECT t.* INTO then_terms FROM public.month_terms(scope[2], floors, given) t;
        SELECT t.* INTO now_terms FROM public.month_terms(scope[2], floors, clock_timestamp()) t;
        days := greatest(then_terms.days, now_terms.days);
        version := CASE WHEN days > then_terms.days THEN now_terms.version ELSE then_terms.version END;
        law := CASE WHEN days > then_terms.days THEN now_terms.law ELSE then_terms.law END;
        kept_by := CASE
            -- No purge comes to it, so it keeps what it has.
            WHEN NOT is_active THEN 'suspended'
            WHEN then_terms.days IS NULL OR now_terms.days IS NULL THEN 'no_policy'
            -- Another column says how old rows are than the one that decides their month.
            WHEN then_terms.anchor <> 'clock' OR now_terms.anchor <> 'clock' THEN 'anchor'
            WHEN ends > least(given, clock_timestamp()) - make_interval(hours => 24 * days) THEN 'period'
            WHEN EXISTS (SELECT FROM public.compliance_retentionpolicy p
                          WHERE p.tenant_id = public.current_tenant() AND p.data_class = scope[2] AND p.legal_hold)
            THEN 'class_hold'
        END;
        IF last AND kept_by IS NULL THEN
            -- As retention's own deletions have it: matters, and the open requests of subjects.
            search := public.hold_search(target::text, target, scope[1], scope[2], scope[3], scope[4], scope[5], tenant,
                                         '{matter,request}');
            IF search IS NOT NULL THEN
                EXECUTE 'SELECT EXISTS (' || search || ')' INTO found;
                IF found THEN
                    kept_by := 'hold';
                END IF;
            END IF;
        END IF;
        IF last AND kept_by IS NULL THEN
            -- The ends come from an index each: in one look with the count they would be compared for every row.
            EXECUTE format('SELECT count(*), (SELECT min(o.%1$I) FROM %2$s o WHERE o.tenant_id = $1),'
                           ' (SELECT max(o.%1$I) FROM %2$s o WHERE o.tenant_id = $1) FROM %2$s o WHERE o.tenant_id = $1',
                           scope[3], target) INTO gone, low, high USING tenant;
        END IF;
        RETURN NEXT;
        IF kept_by IS NOT NULL THEN
            RETURN;
        END IF;
    END LOOP;
END $$;

-- What the DELETE trigger and a purge would have left of a tenant's rows; in the transaction of the DROP.
CREATE FUNCTION public.month_record(scope text[], captured text, name text, first date, run uuid,
                                    gone bigint, low timestamptz, high timestamptz, days integer, version integer, law text)
RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO public.compliance_disposition (id, tenant_id, run, data_class, entity, method, rows, clock, clock_from,
        clock_until, retention_days, policy_version, policy_class, law, approved_by, approved_by_name, done_by, done_by_name,
        first_at, last_at)
    VALUES (gen_random_uuid(), public.current_tenant(), run, scope[2], scope[1], 'dropped', gone, scope[3], low, high,
        days, version, '', law, '', '', left(coalesce(current_setting('app.actor_id', true), ''), 64),
        left(coalesce(current_setting('app.actor_name', true), ''), 200), clock_timestamp(), clock_timestamp());
    PERFORM public.audit_dropped(captured, name, gone, low, high);
    PERFORM public.audit_event(false, 'retention.purge', 'Retention', public.current_tenant(), NULL, jsonb_build_object(
        'deleted', jsonb_build_object(scope[1], gone), 'total', gone, 'run', run, 'path', 'whole month',
        'month', to_char(first, 'YYYY-MM'), 'held', '[]'::jsonb, 'heldRows', '{}'::jsonb, 'withoutPolicy', '[]'::jsonb,
        'warnings', '[]'::jsonb, 'errors', '[]'::jsonb, 'finished', true));
END $$;

-- Drops the month of a partitioned table when nothing in it has a reason to stay, and says {keptBy, tenants: {id: rows}}.
-- `keptBy` is null when it is gone, or would be in a dry run, which goes the same way up to the records. It waits for
-- locks two seconds at most, half of one where others wait for it, and gives up then: `busy`.
CREATE FUNCTION public.month_drop(name text, month date, floors jsonb, given timestamptz, run uuid, dry boolean)
RETURNS jsonb LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET enable_nestloop = off SET lock_timeout = 2000 AS $$
DECLARE
    caller text := coalesce(current_setting('app.tenant_id', true), '');
    parent regclass := format('public.%I', name)::regclass;
    first date := date_trunc('month', month)::date;
    part text := format('%s_%s', name, to_char(first, 'YYYY_MM'));
    ends timestamptz := (first + interval '1 month') AT TIME ZONE 'UTC';
    scope text[];
    captured text[];
    found record;
    seen jsonb;
    answer jsonb;
BEGIN
    IF name IS NULL OR month IS NULL OR given IS NULL OR run IS NULL OR dry IS NULL
       OR jsonb_typeof(floors) IS DISTINCT FROM 'array' THEN
        RAISE EXCEPTION 'a month is dropped by name, month, floors, moment, run, and whether it is meant'
            USING ERRCODE = 'null_value_not_allowed';
    END IF;
    -- In a stricter level the rows and holds of after the snapshot would not be seen, whatever is locked.
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION 'a month is dropped in READ COMMITTED alone' USING ERRCODE = 'active_sql_transaction';
    END IF;
    -- What a row of the table is, for holds and in the log, is said by the table's own triggers.
    SELECT string_to_array(encode(t.tgargs, 'escape'), '\000') INTO scope
      FROM pg_trigger t WHERE t.tgrelid = parent AND t.tgname = 'hold_scope' AND t.tgenabled = 'A';
    SELECT string_to_array(encode(t.tgargs, 'escape'), '\000') INTO captured
      FROM pg_trigger t WHERE t.tgrelid = parent AND t.tgname = 'audit_capture_delete' AND t.tgenabled <> 'D';
    IF scope IS NULL OR captured IS NULL OR (SELECT c.relkind FROM pg_class c WHERE c.oid = parent) <> 'p' THEN
        RAISE EXCEPTION '% is not kept by the month under guard', name USING ERRCODE = 'wrong_object_type';
    END IF;
    IF ends > least(given, clock_timestamp()) THEN
        RETURN '{"keptBy": "period"}';
    END IF;
    -- The lock of who makes the partition. Of two who would drop it, one does.
    IF NOT pg_try_advisory_xact_lock(hashtextextended('partition:' || part, 0)) THEN
        RETURN '{"keptBy": "busy"}';
    END IF;
    IF NOT EXISTS (SELECT FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
                    WHERE i.inhparent = parent AND c.relname = part AND c.relnamespace = 'public'::regnamespace) THEN
        RETURN '{"keptBy": "missing"}';
    END IF;
    -- Without a lock first: most months stay, and nobody shall wait for that.
    SELECT l.* INTO found FROM public.month_look(part, scope, floors, ends, given, false) l WHERE l.kept_by IS NOT NULL;
    IF found.kept_by IS NOT NULL THEN
        PERFORM set_config('app.tenant_id', caller, true);
        RETURN jsonb_build_object('keptBy', found.kept_by);
    END IF;
    BEGIN
        -- Nobody writes into the month any more, everybody reads.
        EXECUTE format('LOCK TABLE ONLY public.%I IN SHARE ROW EXCLUSIVE MODE', part);
        -- All of them first: nothing is written down while one may still keep it.
        seen := (SELECT coalesce(jsonb_agg(to_jsonb(l)), '[]')
                   FROM public.month_look(part, scope, floors, ends, given, true) l);
        IF seen -> -1 ->> 'kept_by' IS NOT NULL THEN
            PERFORM set_config('app.tenant_id', caller, true);
            RETURN jsonb_build_object('keptBy', seen -> -1 ->> 'kept_by');
        END IF;
        answer := '{"keptBy": null, "tenants": {}}';
        FOR found IN SELECT * FROM jsonb_to_recordset(seen) AS l (tenant text, gone bigint, low timestamptz,
                                                                  high timestamptz, days integer, version integer, law text)
        LOOP
            answer := jsonb_set(answer, ARRAY['tenants', found.tenant], to_jsonb(found.gone));
            CONTINUE WHEN dry;
            PERFORM set_config('app.tenant_id', found.tenant, true);
            PERFORM public.month_record(scope, captured[1], name, first, run, found.gone, found.low, found.high,
                                        found.days, found.version, found.law);
        END LOOP;
        PERFORM set_config('app.tenant_id', caller, true);
        IF dry THEN
            RETURN answer;
        END IF;
        -- Whoever waits for us holds the parent, which we want next: it would be a deadlock, and they its victim.
        IF EXISTS (SELECT FROM pg_locks w WHERE w.relation = format('public.%I', part)::regclass AND NOT w.granted
                      AND w.database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())) THEN
            RAISE EXCEPTION 'somebody waits for %', part USING ERRCODE = 'lock_not_available';
        END IF;
        -- From here on everybody waits who asks for any month: for the time of a DROP.
        PERFORM set_config('lock_timeout', '500', true);
        EXECUTE format('LOCK TABLE ONLY %s IN ACCESS EXCLUSIVE MODE', parent);
        EXECUTE format('DROP TABLE public.%I', part);
    EXCEPTION WHEN lock_not_available OR deadlock_detected THEN
        answer := '{"keptBy": "busy"}';
    END;
    PERFORM set_config('app.tenant_id', caller, true);
    RETURN answer;
END $$;

REVOKE ALL ON FUNCTION public.month_tenants() FROM PUBLIC;
REVOKE ALL ON FUNCTION public.month_terms(text, jsonb, timestamptz) FROM PUBLIC;
REVOKE ALL ON FUNCTION public.month_look(text, text[], jsonb, timestamptz, timestamptz, boolean) FROM PUBLIC;
REVOKE ALL ON FUNCTION public.month_record(text[], text, text, date, uuid, bigint, timestamptz, timestamptz, integer,
    integer, text) FROM PUBLIC;
REVOKE ALL ON FUNCTION public.month_drop(text, date, jsonb, timestamptz, uuid, boolean) FROM PUBLIC;
ALTER FUNCTION public.month_tenants() OWNER TO kaireon_resolver;
SET LOCAL ROLE kaireon_resolver;
GRANT EXECUTE ON FUNCTION public.month_tenants() TO kaireon_owner;
RESET ROLE;
GRANT EXECUTE ON FUNCTION public.month_drop(text, date, jsonb, timestamptz, uuid, boolean) TO kaireon_app;
