-- Holds in the database. A deletion and a hold of the same tenant meet on one row, compliance_holdepoch: the hold
-- updates it, the deletion takes it FOR SHARE and looks for holds in a statement of its own, after the lock. In READ
-- COMMITTED that statement sees every hold committed before the lock was granted; in the stricter isolation levels the
-- lock itself fails when a hold moved the row after the snapshot. A hold that comes later waits for the deletion.
--
-- Every function names schemas in full, keeps temporary tables out of its path and listens to no session switch; the
-- triggers fire in replica sessions too. What looks across tenants belongs to kaireon_resolver, which nobody logs in as.

-- Takes the epoch and tells whether the class is held: by the active tenant, or by any when `everyone` is asked.
CREATE FUNCTION public.hold_check(wanted text, everyone boolean) RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    tenant text;
BEGIN
    -- The application is bound to its tenant, also inside a cascade, which runs as the table's owner.
    IF everyone AND session_user <> 'kaireon_app' THEN
        PERFORM FROM public.compliance_holdepoch ORDER BY tenant_id FOR SHARE;
        RETURN EXISTS (SELECT FROM public.compliance_retentionpolicy WHERE data_class = wanted AND legal_hold);
    END IF;
    tenant := public.current_tenant();
    PERFORM FROM public.compliance_holdepoch WHERE tenant_id = tenant FOR SHARE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'tenant % has no hold epoch: nothing guarded is deleted without one', tenant
            USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    RETURN EXISTS (SELECT FROM public.compliance_retentionpolicy
                    WHERE tenant_id = tenant AND data_class = wanted AND legal_hold);
END $$;

-- Refuses what a trigger stands before, when the class is held; `what` says what stays as it is. Whom row-level security
-- does not bind, their statement may reach every tenant: any hold on the class stops it.
CREATE FUNCTION public.hold_stops(data_class text, target regclass, what text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF public.hold_check(data_class, NOT row_security_active(target)) THEN
        RAISE EXCEPTION 'legal hold: data class "%" is held, %', data_class, what
            USING ERRCODE = '23K01', HINT = 'Release the hold first, or leave this out.';
    END IF;
END $$;

-- BEFORE DELETE, once per statement. Argument: the data class of the table's rows.
CREATE FUNCTION public.hold_guard() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM public.hold_stops(TG_ARGV[0], TG_RELID, TG_TABLE_NAME || ' keeps its rows');
    RETURN NULL;
END $$;

-- AFTER DELETE, once per statement, on a table whose rows belong to the class that another table names for them.
-- Arguments: the reference's column, the other table, its column. By then the epoch is taken late, but before the
-- look for holds, which is what counts: a refusal undoes the statement.
CREATE FUNCTION public.hold_guard_by_row() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    touched text;
BEGIN
    FOR touched IN EXECUTE format(
        'SELECT DISTINCT coalesce(c.%I, $1) FROM old_rows o LEFT JOIN public.%I c ON c.tenant_id = o.tenant_id AND c.id = o.%I',
        TG_ARGV[2], TG_ARGV[1], TG_ARGV[0]) USING ''
    LOOP
        IF touched = '' THEN
            RAISE EXCEPTION 'legal hold: rows of % are of no class that is known, and stay', TG_TABLE_NAME
                USING ERRCODE = '23K01';
        END IF;
        PERFORM public.hold_stops(touched, TG_RELID, TG_TABLE_NAME || ' keeps its rows');
    END LOOP;
    RETURN NULL;
END $$;

-- BEFORE UPDATE of a column that decides the class: what is held is not moved out of its class, nor what is held in part.
CREATE FUNCTION public.hold_keeps_class() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM public.hold_stops(to_jsonb(OLD) ->> TG_ARGV[0], TG_RELID, TG_TABLE_NAME || ' stays in it');
    IF public.hold_touches(to_jsonb(OLD) ->> TG_ARGV[0], NOT row_security_active(TG_RELID)) THEN
        RAISE EXCEPTION 'legal hold: a hold covers a part of data class "%", % stays in it', to_jsonb(OLD) ->> TG_ARGV[0], TG_TABLE_NAME
            USING ERRCODE = '23K01', HINT = 'Release the hold first, or leave this out.';
    END IF;
    RETURN NEW;
END $$;

-- BEFORE UPDATE of what erasure takes out of a row that stays: held, it is not taken. Arguments: the data class, then
-- entity, clock, subject, and whether the clock moves, by which holds with a scope find the row.
CREATE FUNCTION public.hold_keeps_contents() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM public.hold_stops(TG_ARGV[0], TG_RELID, 'rows of ' || TG_TABLE_NAME || ' keep what they say');
    PERFORM public.hold_row_stops(TG_RELID, TG_ARGV[1], TG_ARGV[0], TG_ARGV[2], TG_ARGV[3], TG_ARGV[4],
                                  to_jsonb(OLD), NULL, NOT row_security_active(TG_RELID));
    RETURN NEW;
END $$;

CREATE FUNCTION public.hold_refuse_truncate() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RAISE EXCEPTION 'legal hold: % is guarded, TRUNCATE is refused for every role', TG_TABLE_NAME
        USING ERRCODE = '23K01', HINT = 'TRUNCATE cannot tell held rows from others: use DELETE.';
END $$;

-- Puts the guards on a table and on the partitions it has. `partition_ensure` copies them to the partitions to come.
CREATE FUNCTION public.guard_table(name text, data_class text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    target regclass;
BEGIN
    FOR target IN
        SELECT format('public.%I', name)::regclass
        UNION ALL SELECT inhrelid::regclass FROM pg_inherits WHERE inhparent = format('public.%I', name)::regclass
    LOOP
        EXECUTE format('CREATE TRIGGER hold_guard BEFORE DELETE ON %s FOR EACH STATEMENT'
                       ' EXECUTE FUNCTION public.hold_guard(%L)', target, data_class);
        PERFORM public.refuse_truncate(target);
        EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER hold_guard', target);
    END LOOP;
END $$;

-- The same for a table whose rows take their class from another one.
CREATE FUNCTION public.guard_table_by_row(name text, reference text, classes text, class_column text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    EXECUTE format('CREATE TRIGGER hold_guard AFTER DELETE ON public.%I REFERENCING OLD TABLE AS old_rows'
                   ' FOR EACH STATEMENT EXECUTE FUNCTION public.hold_guard_by_row(%L, %L, %L)',
                   name, reference, classes, class_column);
    EXECUTE format('ALTER TABLE public.%I ENABLE ALWAYS TRIGGER hold_guard', name);
    PERFORM public.refuse_truncate(format('public.%I', name)::regclass);
    EXECUTE format('CREATE TRIGGER hold_class BEFORE UPDATE ON public.%I FOR EACH ROW'
                   ' WHEN (OLD.%I IS DISTINCT FROM NEW.%I) EXECUTE FUNCTION public.hold_keeps_class(%L)',
                   classes, class_column, class_column, class_column);
    EXECUTE format('ALTER TABLE public.%I ENABLE ALWAYS TRIGGER hold_class', classes);
END $$;

-- Guards columns of rows that erasure keeps without the person: `emptied` ones may not lose their value, `changed` ones
-- stay. The comparison stands in the trigger's own condition, so that other updates do not ask for holds.
CREATE FUNCTION public.guard_contents(name text, data_class text, emptied text[], changed text[], scope text[]) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    target regclass := format('public.%I', name)::regclass;
    condition text;
    found integer;
BEGIN
    SELECT count(*), string_agg(format(CASE WHEN a.attname = ANY (changed) THEN 'OLD.%1$I IS DISTINCT FROM NEW.%1$I'
                                  WHEN a.atttypid IN ('text'::regtype, 'varchar'::regtype, 'bytea'::regtype)
                                  THEN $c$OLD.%1$I <> '' AND coalesce(NEW.%1$I, '') = ''$c$
                                  WHEN a.atttypid = 'jsonb'::regtype
                                  THEN $c$OLD.%1$I <> '{}' AND coalesce(NEW.%1$I, '{}') IN ('{}', '[]', '""', 'null')$c$
                                  ELSE 'OLD.%1$I IS NOT NULL AND NEW.%1$I IS NULL' END, a.attname), ' OR ')
      INTO found, condition
      FROM pg_attribute a WHERE a.attrelid = target AND a.attname = ANY (emptied || changed);
    IF found <> cardinality(emptied || changed) THEN
        RAISE EXCEPTION 'of the columns to guard % has % only', name, found;
    END IF;
    EXECUTE format('CREATE TRIGGER hold_contents BEFORE UPDATE ON %s FOR EACH ROW WHEN (%s)'
                   ' EXECUTE FUNCTION public.hold_keeps_contents(%s)', target, condition,
                   (SELECT string_agg(quote_literal(a), ', ') FROM unnest(data_class || scope) a));
    EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER hold_contents', target);
END $$;

CREATE FUNCTION public.refuse_truncate(target regclass) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    EXECUTE format('CREATE TRIGGER hold_truncate BEFORE TRUNCATE ON %s FOR EACH STATEMENT'
                   ' EXECUTE FUNCTION public.hold_refuse_truncate()', target);
    EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER hold_truncate', target);
END $$;

CREATE FUNCTION public.unguard_table(name text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    target regclass;
BEGIN
    FOR target IN
        SELECT format('public.%I', name)::regclass
        UNION ALL SELECT inhrelid::regclass FROM pg_inherits WHERE inhparent = format('public.%I', name)::regclass
    LOOP
        EXECUTE format('DROP TRIGGER hold_guard ON %s', target);
        EXECUTE format('DROP TRIGGER hold_truncate ON %s', target);
        EXECUTE format('DROP TRIGGER IF EXISTS hold_scope ON %s', target);
    END LOOP;
    EXECUTE format('DROP TRIGGER IF EXISTS hold_scope_row ON public.%I', name);
END $$;

-- Whatever changes what is held moves the epoch, raw SQL included.
CREATE FUNCTION public.hold_moves_epoch() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    tenant text := CASE WHEN TG_OP = 'DELETE' THEN OLD.tenant_id ELSE NEW.tenant_id END;
BEGIN
    UPDATE public.compliance_holdepoch SET epoch = epoch + 1 WHERE tenant_id = tenant;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'tenant % has no hold epoch: its holds could not be relied on', tenant
            USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION public.hold_epoch_for_tenant() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO public.compliance_holdepoch (id, tenant_id, epoch) VALUES (gen_random_uuid(), NEW.id, 0);
    RETURN NULL;
END $$;

CREATE POLICY resolver_locks ON public.compliance_holdepoch FOR UPDATE TO kaireon_resolver USING (true) WITH CHECK (true);
CREATE POLICY resolver_opens ON public.compliance_holdepoch FOR INSERT TO kaireon_resolver WITH CHECK (true);
GRANT INSERT, UPDATE (epoch) ON public.compliance_holdepoch TO kaireon_resolver;

CREATE TRIGGER hold_placed AFTER INSERT ON public.compliance_retentionpolicy
    FOR EACH ROW WHEN (NEW.legal_hold) EXECUTE FUNCTION public.hold_moves_epoch();
CREATE TRIGGER hold_changed AFTER UPDATE ON public.compliance_retentionpolicy
    FOR EACH ROW WHEN (OLD.legal_hold IS DISTINCT FROM NEW.legal_hold OR OLD.data_class IS DISTINCT FROM NEW.data_class)
    EXECUTE FUNCTION public.hold_moves_epoch();
CREATE TRIGGER hold_removed AFTER DELETE ON public.compliance_retentionpolicy
    FOR EACH ROW WHEN (OLD.legal_hold) EXECUTE FUNCTION public.hold_moves_epoch();
CREATE TRIGGER hold_epoch AFTER INSERT ON public.tenancy_tenant
    FOR EACH ROW EXECUTE FUNCTION public.hold_epoch_for_tenant();
ALTER TABLE public.compliance_retentionpolicy ENABLE ALWAYS TRIGGER hold_placed;
ALTER TABLE public.compliance_retentionpolicy ENABLE ALWAYS TRIGGER hold_changed;
ALTER TABLE public.compliance_retentionpolicy ENABLE ALWAYS TRIGGER hold_removed;
SELECT public.refuse_truncate('public.compliance_retentionpolicy');
SELECT public.refuse_truncate('public.compliance_holdepoch');

REVOKE ALL ON FUNCTION public.guard_table(text, text) FROM PUBLIC;
REVOKE ALL ON FUNCTION public.guard_table_by_row(text, text, text, text) FROM PUBLIC;
REVOKE ALL ON FUNCTION public.guard_contents(text, text, text[], text[], text[]) FROM PUBLIC;
REVOKE ALL ON FUNCTION public.unguard_table(text) FROM PUBLIC;
REVOKE ALL ON FUNCTION public.refuse_truncate(regclass) FROM PUBLIC;
REVOKE ALL ON FUNCTION public.hold_check(text, boolean) FROM PUBLIC;
REVOKE ALL ON FUNCTION public.hold_moves_epoch() FROM PUBLIC;
REVOKE ALL ON FUNCTION public.hold_epoch_for_tenant() FROM PUBLIC;
ALTER FUNCTION public.hold_check(text, boolean) OWNER TO kaireon_resolver;
ALTER FUNCTION public.hold_moves_epoch() OWNER TO kaireon_resolver;
ALTER FUNCTION public.hold_epoch_for_tenant() OWNER TO kaireon_resolver;
-- After the change of owner, which takes the old owner's own rights along; so the new one grants.
SET LOCAL ROLE kaireon_resolver;
GRANT EXECUTE ON FUNCTION public.hold_check(text, boolean) TO kaireon_app, kaireon_owner;
RESET ROLE;
