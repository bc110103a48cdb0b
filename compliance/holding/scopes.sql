-- Holds with a scope. A trigger asks for them once per statement, with all rows that went; where rows are overwritten,
-- once per row that loses something. The epoch is taken before (see guards.sql); what is read here is read after it.
--
-- Triggers ask for holds for matters alone: what an open request of a subject pauses, the erasure it asks for may still do.

-- A saved query as a condition on `o`, a row of `target`. What cannot be read holds everything: the statement is refused.
CREATE FUNCTION public.hold_condition(target regclass, query jsonb) RETURNS text
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    part jsonb;
    kind text;
    said text;
    parts text[] := '{}';
BEGIN
    IF jsonb_typeof(query) IS DISTINCT FROM 'array' OR query = '[]' THEN
        RAISE EXCEPTION 'legal hold: the query of a hold on % cannot be read, so its rows stay', target
            USING ERRCODE = '23K01';
    END IF;
    FOR part IN SELECT jsonb_array_elements(query) LOOP
        SELECT a.atttypid::regtype::text INTO kind FROM pg_attribute a
         WHERE a.attrelid = target AND a.attname = part ->> 'field' AND a.attnum > 0 AND NOT a.attisdropped;
        said := CASE
            WHEN kind IS NULL OR part -> 'value' IS NULL THEN NULL
            WHEN part ->> 'op' = 'contains_key' THEN format('o.%I ? %L', part ->> 'field', part ->> 'value')
            WHEN part ->> 'op' = 'in' THEN format('o.%I = ANY (%L::%s[])', part ->> 'field',
                ARRAY(SELECT jsonb_array_elements_text(part -> 'value'))::text, kind)
            WHEN part ->> 'op' = 'ne' THEN format('o.%I IS DISTINCT FROM %L::%s', part ->> 'field', part ->> 'value', kind)
            WHEN part ->> 'op' IN ('eq', 'lt', 'lte', 'gt', 'gte') THEN format('o.%I %s %L::%s', part ->> 'field',
                CASE part ->> 'op' WHEN 'eq' THEN '=' WHEN 'lt' THEN '<' WHEN 'lte' THEN '<=' WHEN 'gt' THEN '>' ELSE '>=' END,
                part ->> 'value', kind)
        END;
        IF said IS NULL THEN
            RAISE EXCEPTION 'legal hold: the query of a hold on % cannot be read, so its rows stay', target
                USING ERRCODE = '23K01';
        END IF;
        parts := parts || said;
    END LOOP;
    RETURN array_to_string(parts, ' AND ');
END $$;

-- The statement that finds the holds of these kinds which keep rows of `source`; NULL when none can. `tenant`: of this
-- one alone.
CREATE FUNCTION public.hold_search(source text, target regclass, entity text, data_class text, clock text, subject text,
                                   moves text, tenant text, kinds text[]) RETURNS text
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    wanted text := format($c$h.kind = ANY (%L) AND h.state <> 'released' AND h.entity IN ('', %L)$c$, kinds, entity)
                   || CASE WHEN tenant IS NULL THEN '' ELSE format(' AND h.tenant_id = %L', tenant) END;
    reach text := 'h.tenant_id = o.tenant_id AND ';
    subject_is text := 'false';
    everybody boolean;
    subjects boolean;
    asked uuid[];
    one uuid;
    query jsonb;
    parts text[] := '{}';
BEGIN
    -- Rows of tenant-defined tables take their class from their schema.
    IF data_class <> '' THEN
        wanted := wanted || format($c$ AND h.data_class IN ('', %L)$c$, data_class);
    END IF;
    EXECUTE 'SELECT bool_or(NOT h.of_subjects AND h.query IS NULL), bool_or(h.of_subjects AND h.query IS NULL),'
            ' array_agg(h.id) FILTER (WHERE h.query IS NOT NULL) FROM public.compliance_hold h WHERE ' || wanted
       INTO everybody, subjects, asked;
    IF everybody IS NULL THEN
        RETURN NULL;
    END IF;
    reach := reach || wanted;
    IF data_class = '' THEN
        reach := reach || $c$ AND (h.data_class = '' OR h.data_class = (SELECT c.data_class
            FROM public.customers_dynamicschema c WHERE c.tenant_id = o.tenant_id AND c.id = o.schema_id))$c$;
    END IF;
    IF clock <> '' THEN
        -- What has no time yet may be of any.
        reach := reach || format(' AND (o.%1$I IS NULL OR (h.from_at IS NULL OR o.%1$I >= h.from_at)', clock)
                 || CASE WHEN moves = '' THEN format(' AND (h.until_at IS NULL OR o.%I <= h.until_at)', clock) ELSE '' END || ')';
    END IF;
    IF subject <> '' THEN
        subject_is := format(CASE WHEN (SELECT atttypid = 'uuid'::regtype FROM pg_attribute
                                         WHERE attrelid = target AND attname = subject)
                             THEN 's.tenant_id = o.tenant_id AND s.subject_id = o.%I'
                             ELSE 's.tenant_id = o.tenant_id AND s.subject_id::text = o.%I' END, subject);
    END IF;
    IF everybody THEN
        parts := parts || format('SELECT h.id FROM %s o JOIN public.compliance_hold h ON %s AND NOT h.of_subjects'
                                 ' AND h.query IS NULL', source, reach);
    END IF;
    IF subjects THEN
        parts := parts || format('SELECT h.id FROM %s o JOIN public.compliance_holdsubject s ON %s'
                                 ' JOIN public.compliance_hold h ON h.id = s.hold_id AND %s AND h.of_subjects'
                                 ' AND h.query IS NULL', source, subject_is, reach);
    END IF;
    FOREACH one IN ARRAY coalesce(asked, '{}') LOOP
        SELECT h.query INTO query FROM public.compliance_hold h WHERE h.id = one;
        parts := parts || format('SELECT h.id FROM %s o JOIN public.compliance_hold h ON h.id = %L AND %s AND (NOT h.of_subjects'
                                 ' OR EXISTS (SELECT FROM public.compliance_holdsubject s WHERE s.hold_id = h.id AND %s))'
                                 ' WHERE %s', source, one, reach, subject_is, public.hold_condition(target, query));
    END LOOP;
    RETURN array_to_string(parts, ' UNION ALL ');
END $$;

-- AFTER DELETE, once per statement. Arguments: entity, data class, clock, subject, whether the clock moves.
-- Without nested loops: of holds placed since the last ANALYZE PostgreSQL expects one or none, and would compare every row
-- that went with every held subject (half a second for 5,000 rows and 1,000 subjects, in place of 10 ms).
CREATE FUNCTION public.hold_scope_guard() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_nestloop = off AS $$
DECLARE
    search text;
    kept boolean;
BEGIN
    -- The application is bound to its tenant, also inside a cascade. Others may reach the rows of any.
    search := public.hold_search('old_rows', TG_RELID, TG_ARGV[0], TG_ARGV[1], TG_ARGV[2], TG_ARGV[3], TG_ARGV[4],
                                 CASE WHEN session_user = 'kaireon_app' THEN public.current_tenant() END, '{matter}');
    IF search IS NOT NULL THEN
        EXECUTE 'SELECT EXISTS (' || search || ')' INTO kept;
        IF kept THEN
            RAISE EXCEPTION 'legal hold: a hold covers rows of % that this would delete', TG_TABLE_NAME
                USING ERRCODE = '23K01', HINT = 'Release the hold first, or leave its rows out.';
        END IF;
    END IF;
    RETURN NULL;
END $$;

-- Refuses when a hold covers the row as it was and, where it is given, does not cover what becomes of it.
CREATE FUNCTION public.hold_row_stops(target regclass, entity text, data_class text, clock text, subject text, moves text,
                                      old_row jsonb, new_row jsonb, everyone boolean) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    source text := format('jsonb_populate_record(NULL::%s, $1)', target);
    tenant text := CASE WHEN NOT everyone OR session_user = 'kaireon_app' THEN public.current_tenant() END;
    search text := public.hold_search(source, target, entity, data_class, clock, subject, moves, tenant,
                                      '{matter}');
    kept boolean;
BEGIN
    IF search IS NULL THEN
        RETURN;
    END IF;
    IF new_row IS NOT NULL THEN
        search := format('(%s) EXCEPT (%s)', search, replace(search, source, replace(source, '$1', '$2')));
    END IF;
    EXECUTE 'SELECT EXISTS (' || search || ')' INTO kept USING old_row, new_row;
    IF kept THEN
        RAISE EXCEPTION 'legal hold: a hold covers a row of %, which keeps what it says and its place', target
            USING ERRCODE = '23K01', HINT = 'Release the hold first, or leave this row out.';
    END IF;
END $$;

-- BEFORE UPDATE of what decides whether a hold reaches the row: it is not moved out of one.
CREATE FUNCTION public.hold_keeps_scope() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    everyone boolean := NOT row_security_active(TG_RELID);
BEGIN
    PERFORM public.hold_check('', everyone);
    PERFORM public.hold_row_stops(TG_RELID, TG_ARGV[0], TG_ARGV[1], TG_ARGV[2], TG_ARGV[3], TG_ARGV[4],
                                  to_jsonb(OLD), to_jsonb(NEW), everyone);
    RETURN NEW;
END $$;

-- Puts both on a table and its partitions. `asked`: the columns that saved queries may ask for.
CREATE FUNCTION public.scope_table(name text, entity text, data_class text, clock text, subject text, moves text,
                                   asked text[]) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    parent regclass := format('public.%I', name)::regclass;
    target regclass;
    arguments text := format('%L, %L, %L, %L, %L', entity, data_class, clock, subject, moves);
    moved text := format('OLD.%1$I <> NEW.%1$I', clock);
    plain text[] := CASE WHEN subject = '' THEN asked ELSE asked || subject END;
BEGIN
    IF (SELECT count(*) FROM pg_attribute WHERE attrelid = parent AND attname = ANY (plain || clock)) <> cardinality(plain || clock) THEN
        RAISE EXCEPTION 'not every column that the scope of % names is there', name;
    END IF;
    FOR target IN SELECT parent UNION ALL SELECT inhrelid::regclass FROM pg_inherits WHERE inhparent = parent LOOP
        EXECUTE format('CREATE TRIGGER hold_scope AFTER DELETE ON %s REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT'
                       ' EXECUTE FUNCTION public.hold_scope_guard(%s)', target, arguments);
        EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER hold_scope', target);
    END LOOP;
    -- A row trigger reaches partitions by itself. A time that goes from unknown to known, and the last use of a row that
    -- goes forward, are ordinary.
    IF moves <> '' THEN
        moved := format('OLD.%1$I > NEW.%1$I', clock);
    END IF;
    EXECUTE format('CREATE TRIGGER hold_scope_row BEFORE UPDATE ON %s FOR EACH ROW WHEN (%s) EXECUTE FUNCTION public.hold_keeps_scope(%s)',
                   parent, array_to_string(moved || ARRAY(SELECT format('OLD.%1$I IS DISTINCT FROM NEW.%1$I', c)
                                                            FROM unnest(plain) c), ' OR '), arguments);
    EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER hold_scope_row', parent);
END $$;

-- Whether a hold covers the class as a whole or in part: the log goes by prefix, so that part keeps all of it.
CREATE FUNCTION public.hold_touches(wanted text, everyone boolean) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    tenant text := CASE WHEN NOT everyone OR session_user = 'kaireon_app' THEN public.current_tenant() END;
BEGIN
    RETURN EXISTS (SELECT FROM public.compliance_hold h
                    WHERE h.kind = 'matter' AND h.state <> 'released' AND h.entity = '' AND h.data_class IN ('', wanted)
                      AND (tenant IS NULL OR h.tenant_id = tenant));
END $$;

-- BEFORE DELETE on the log, once per statement. Argument: its class.
CREATE FUNCTION public.hold_guard_log() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM public.hold_stops(TG_ARGV[0], TG_RELID, TG_TABLE_NAME || ' keeps its rows');
    IF public.hold_touches(TG_ARGV[0], NOT row_security_active(TG_RELID)) THEN
        RAISE EXCEPTION 'legal hold: a hold covers a part of data class "%", and the log goes by prefix', TG_ARGV[0]
            USING ERRCODE = '23K01', HINT = 'Release the hold first.';
    END IF;
    RETURN NULL;
END $$;

-- The ways of a hold for a matter: one asks and another agrees, it is taken back or waits out the cooling-off, and ends.
CREATE FUNCTION public.hold_may_become(was public.compliance_hold, becomes public.compliance_hold) RETURNS boolean
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT CASE was.state || ' ' || becomes.state
        WHEN 'active active' THEN to_jsonb(was) = to_jsonb(becomes)
        WHEN 'active releasing' THEN becomes.release_asked_by <> '' AND becomes.release_agreed_by <> ''
            AND becomes.release_asked_by <> becomes.release_agreed_by AND becomes.releases_at IS NOT NULL
        WHEN 'releasing releasing' THEN to_jsonb(was) = to_jsonb(becomes)
        WHEN 'releasing active' THEN true
        WHEN 'releasing released' THEN becomes.released_at >= was.releases_at
            AND to_jsonb(was) - '{state,released_at}'::text[] = to_jsonb(becomes) - '{state,released_at}'::text[]
        ELSE false
    END
$$;

-- A hold says the same until it ends, and ends once. Its time is the database's too.
CREATE FUNCTION public.hold_stays() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    may_change text[] := '{state,release_asked_by,release_reason,release_agreed_by,releases_at,released_at}';
BEGIN
    IF TG_OP = 'INSERT' THEN
        NEW.recorded_at := clock_timestamp();
        RETURN NEW;
    END IF;
    IF OLD.state = 'released' AND TG_OP = 'DELETE' THEN
        RETURN OLD;
    END IF;
    IF TG_OP = 'UPDATE' AND OLD.state <> 'released' AND to_jsonb(OLD) - may_change = to_jsonb(NEW) - may_change
       AND (OLD.kind <> 'matter' OR public.hold_may_become(OLD, NEW)) THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'legal hold: what a hold covers does not change, and it ends by its release alone'
        USING ERRCODE = '23K01', HINT = 'Place another hold, or release this one.';
END $$;

CREATE FUNCTION public.hold_subjects_stay() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF TG_OP = 'DELETE' AND NOT EXISTS (SELECT FROM public.compliance_hold h
                                         WHERE h.tenant_id = OLD.tenant_id AND h.id = OLD.hold_id AND h.state <> 'released') THEN
        RETURN OLD;
    END IF;
    RAISE EXCEPTION 'legal hold: whom a hold covers does not change while it lasts' USING ERRCODE = '23K01';
END $$;

-- At the end of the transaction that placed it: a hold of subjects without any would look like one and keep nothing.
CREATE FUNCTION public.hold_has_subjects() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM public.compliance_holdsubject s WHERE s.tenant_id = NEW.tenant_id AND s.hold_id = NEW.id) THEN
        RAISE EXCEPTION 'hold % is of subjects and names none', NEW.id USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION public.hold_subjects_move_epoch() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    UPDATE public.compliance_holdepoch SET epoch = epoch + 1 WHERE tenant_id IN (SELECT tenant_id FROM changed);
    RETURN NULL;
END $$;

SET LOCAL ROLE kaireon_resolver;
GRANT EXECUTE ON FUNCTION public.hold_moves_epoch() TO kaireon_owner;
RESET ROLE;
CREATE TRIGGER hold_stays BEFORE INSERT OR UPDATE OR DELETE ON public.compliance_hold
    FOR EACH ROW EXECUTE FUNCTION public.hold_stays();
CREATE TRIGGER hold_placed AFTER INSERT ON public.compliance_hold
    FOR EACH ROW EXECUTE FUNCTION public.hold_moves_epoch();
-- The end of a request's hold lets more go and so orders nothing; erasures, which hold the epoch themselves, bring it.
CREATE TRIGGER hold_changed AFTER UPDATE ON public.compliance_hold
    FOR EACH ROW WHEN (OLD.kind = 'matter') EXECUTE FUNCTION public.hold_moves_epoch();
CREATE TRIGGER hold_removed AFTER DELETE ON public.compliance_hold
    FOR EACH ROW EXECUTE FUNCTION public.hold_moves_epoch();
CREATE CONSTRAINT TRIGGER hold_has_subjects AFTER INSERT ON public.compliance_hold DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW WHEN (NEW.of_subjects) EXECUTE FUNCTION public.hold_has_subjects();
CREATE TRIGGER hold_stays BEFORE UPDATE OR DELETE ON public.compliance_holdsubject
    FOR EACH ROW EXECUTE FUNCTION public.hold_subjects_stay();
CREATE TRIGGER hold_placed AFTER INSERT ON public.compliance_holdsubject
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION public.hold_subjects_move_epoch();
CREATE TRIGGER hold_removed AFTER DELETE ON public.compliance_holdsubject
    REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION public.hold_subjects_move_epoch();
ALTER TABLE public.compliance_hold ENABLE ALWAYS TRIGGER hold_stays;
ALTER TABLE public.compliance_hold ENABLE ALWAYS TRIGGER hold_placed;
ALTER TABLE public.compliance_hold ENABLE ALWAYS TRIGGER hold_changed;
ALTER TABLE public.compliance_hold ENABLE ALWAYS TRIGGER hold_removed;
ALTER TABLE public.compliance_hold ENABLE ALWAYS TRIGGER hold_has_subjects;
ALTER TABLE public.compliance_holdsubject ENABLE ALWAYS TRIGGER hold_stays;
ALTER TABLE public.compliance_holdsubject ENABLE ALWAYS TRIGGER hold_placed;
ALTER TABLE public.compliance_holdsubject ENABLE ALWAYS TRIGGER hold_removed;
SELECT public.refuse_truncate('public.compliance_hold');
SELECT public.refuse_truncate('public.compliance_holdsubject');
SELECT public.refuse_truncate('public.compliance_matter');
SELECT public.refuse_truncate('public.compliance_notice');

-- The class of tenant-defined rows; the definition of a table is nobody's data.
CREATE POLICY resolver ON public.customers_dynamicschema FOR SELECT TO kaireon_resolver USING (true);
GRANT SELECT ON public.customers_dynamicschema TO kaireon_resolver;

REVOKE ALL ON FUNCTION public.scope_table(text, text, text, text, text, text, text[]) FROM PUBLIC;
REVOKE ALL ON FUNCTION public.hold_scope_guard() FROM PUBLIC;
REVOKE ALL ON FUNCTION public.hold_row_stops(regclass, text, text, text, text, text, jsonb, jsonb, boolean) FROM PUBLIC;
REVOKE ALL ON FUNCTION public.hold_touches(text, boolean) FROM PUBLIC;
REVOKE ALL ON FUNCTION public.hold_subjects_move_epoch() FROM PUBLIC;
ALTER FUNCTION public.hold_scope_guard() OWNER TO kaireon_resolver;
ALTER FUNCTION public.hold_row_stops(regclass, text, text, text, text, text, jsonb, jsonb, boolean) OWNER TO kaireon_resolver;
ALTER FUNCTION public.hold_touches(text, boolean) OWNER TO kaireon_resolver;
ALTER FUNCTION public.hold_subjects_move_epoch() OWNER TO kaireon_resolver;
-- Who makes a partition copies its triggers, as the owner.
SET LOCAL ROLE kaireon_resolver;
GRANT EXECUTE ON FUNCTION public.hold_scope_guard() TO kaireon_owner;
GRANT EXECUTE ON FUNCTION public.hold_subjects_move_epoch() TO kaireon_owner;
GRANT EXECUTE ON FUNCTION public.hold_row_stops(regclass, text, text, text, text, text, jsonb, jsonb, boolean) TO kaireon_app, kaireon_owner;
GRANT EXECUTE ON FUNCTION public.hold_touches(text, boolean) TO kaireon_app, kaireon_owner;
RESET ROLE;
