-- The functions every migration builds its walls with. Run as the owner.

CREATE FUNCTION public.current_tenant() RETURNS text
LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    tenant text := current_setting('app.tenant_id', true);
BEGIN
    -- After the first transaction of a connection the setting is empty, not NULL: both must refuse.
    IF tenant IS NULL OR tenant = '' THEN
        RAISE EXCEPTION 'no tenant is active in this transaction'
            USING ERRCODE = 'insufficient_privilege', HINT = 'Set app.tenant_id for the transaction first.';
    END IF;
    RETURN tenant;
END $$;

CREATE FUNCTION public.secure_one_table(target regclass, tenant_column text, grants text, resolver boolean)
RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', target);
    EXECUTE format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', target);
    -- The sub-select makes the planner ask once per query instead of once per row.
    EXECUTE format(
        'CREATE POLICY tenant ON %s TO kaireon_app, kaireon_owner USING (%I = (SELECT public.current_tenant()))'
        ' WITH CHECK (%I = (SELECT public.current_tenant()))', target, tenant_column, tenant_column);
    EXECUTE format('REVOKE ALL ON %s FROM PUBLIC, kaireon_app', target);
    IF grants <> '' THEN
        EXECUTE format('GRANT %s ON %s TO kaireon_app', grants, target);
    END IF;
    IF resolver THEN
        EXECUTE format('CREATE POLICY resolver ON %s FOR SELECT TO kaireon_resolver USING (true)', target);
        EXECUTE format('GRANT SELECT ON %s TO kaireon_resolver', target);
    END IF;
END $$;

CREATE FUNCTION public.secure_tenant_table(name text, tenant_column text, grants text, resolver boolean)
RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    target regclass := format('public.%I', name)::regclass;
    part regclass;
BEGIN
    IF tenant_column = 'tenant_id' THEN
        ALTER TABLE public.tenancy_tenant NO FORCE ROW LEVEL SECURITY;
        EXECUTE format('ALTER TABLE %s ADD CONSTRAINT %I FOREIGN KEY (tenant_id) REFERENCES public.tenancy_tenant (id)',
                       target, name || '_tenant');
        ALTER TABLE public.tenancy_tenant FORCE ROW LEVEL SECURITY;
        IF (SELECT relkind FROM pg_class WHERE oid = target) <> 'p' THEN
            EXECUTE format('ALTER TABLE %s ADD CONSTRAINT %I UNIQUE (tenant_id, id)', target, name || '_in_tenant');
        END IF;
    END IF;
    PERFORM public.secure_one_table(target, tenant_column, grants, resolver);
    FOR part IN SELECT inhrelid FROM pg_inherits WHERE inhparent = target LOOP
        PERFORM public.secure_one_table(part, tenant_column, grants, resolver);
    END LOOP;
END $$;

CREATE FUNCTION public.add_tenant_reference(name text, reference text, target text, on_delete text)
RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    EXECUTE format('ALTER TABLE public.%I NO FORCE ROW LEVEL SECURITY', target);
    EXECUTE format('ALTER TABLE public.%I NO FORCE ROW LEVEL SECURITY', name);
    EXECUTE format('ALTER TABLE public.%I ADD CONSTRAINT %I FOREIGN KEY (tenant_id, %I)'
                   ' REFERENCES public.%I (tenant_id, id) ON DELETE %s',
                   name, left(name || '_' || reference, 59) || '_ref', reference, target, on_delete);
    EXECUTE format('ALTER TABLE public.%I FORCE ROW LEVEL SECURITY', name);
    EXECUTE format('ALTER TABLE public.%I FORCE ROW LEVEL SECURITY', target);
END $$;

CREATE FUNCTION public.partition_by_month(name text, month_column text)
RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    plain text := name || '_plain';
    indexes text[];
    index text;
BEGIN
    EXECUTE format('ALTER TABLE public.%I RENAME TO %I', name, plain);
    SELECT array_agg(replace(pg_get_indexdef(i.indexrelid), 'public.' || quote_ident(plain), 'public.' || quote_ident(name)))
      INTO indexes
      FROM pg_index i WHERE i.indrelid = format('public.%I', plain)::regclass
       AND NOT EXISTS (SELECT FROM pg_constraint c WHERE c.conindid = i.indexrelid);
    EXECUTE format('CREATE TABLE public.%I (LIKE public.%I INCLUDING DEFAULTS INCLUDING IDENTITY)'
                   ' PARTITION BY RANGE (%I)', name, plain, month_column);
    EXECUTE format('DROP TABLE public.%I', plain);
    EXECUTE format('ALTER TABLE public.%I ADD PRIMARY KEY (id, %I)', name, month_column);
    FOREACH index IN ARRAY coalesce(indexes, '{}') LOOP
        EXECUTE index;
    END LOOP;
END $$;

-- Creates the month's partition when it is missing; true when it did. The application may call it, as the owner.
-- A month that is over may be dropped; one that was there when it was asked for stays until the transaction ends.
CREATE FUNCTION public.partition_ensure(name text, month date)
RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    caller text := coalesce(current_setting('app.tenant_id', true), '');
    parent regclass := format('public.%I', name)::regclass;
    first date := date_trunc('month', month)::date;
    part text := format('%s_%s', name, to_char(first, 'YYYY_MM'));
    grants text;
    resolver boolean;
    copied record;
BEGIN
    IF (SELECT relkind FROM pg_class WHERE oid = parent) <> 'p' THEN
        RAISE EXCEPTION '% is not partitioned by month', name;
    END IF;
    IF first < date '1900-01-01' OR first > date '2200-01-01' THEN
        RAISE EXCEPTION 'no partition for %', first USING ERRCODE = 'datetime_field_overflow';
    END IF;
    IF to_regclass(format('public.%I', part)) IS NOT NULL
       AND (first + interval '1 month') AT TIME ZONE 'UTC' > clock_timestamp() THEN
        RETURN false;
    END IF;
    FOR turn IN 1 .. 2 LOOP
        BEGIN
            -- As its writer will take it, but before they have the parent too, which who drops a month wants next.
            -- In every isolation level it finds what is there: a query, and to_regclass, may remember otherwise.
            EXECUTE format('LOCK TABLE ONLY public.%I IN ROW EXCLUSIVE MODE', part);
            RETURN false;
        EXCEPTION WHEN undefined_table THEN
            -- One creator at a time, and nobody who drops it; whoever waited finds it made.
            PERFORM pg_advisory_xact_lock(hashtextextended('partition:' || part, 0));
        END;
    END LOOP;
    SELECT string_agg(DISTINCT privilege_type, ', ') INTO grants
      FROM pg_class c, aclexplode(c.relacl) a
     WHERE c.oid = parent AND a.grantee = 'kaireon_app'::regrole;
    SELECT EXISTS (SELECT FROM pg_policy WHERE polrelid = parent AND polname = 'resolver') INTO resolver;
    EXECUTE format('CREATE TABLE public.%I (LIKE %s INCLUDING DEFAULTS)', part, parent);
    PERFORM public.secure_one_table(format('public.%I', part)::regclass, 'tenant_id', coalesce(grants, ''), resolver);
    -- Row triggers are cloned by ATTACH; statement triggers are not, and a statement may name the partition itself.
    FOR copied IN
        SELECT t.tgname AS name, t.tgenabled = 'A' AS always,
               replace(replace(pg_get_triggerdef(t.oid), ' ON ' || parent::text || ' ', format(' ON public.%I ', part)),
                       ' ON public.' || name || ' ', format(' ON public.%I ', part)) AS def
          FROM pg_trigger t WHERE t.tgrelid = parent AND NOT t.tgisinternal AND (t.tgtype & 1) = 0
    LOOP
        EXECUTE copied.def;
        -- The definition does not say that it fires in replica sessions too.
        IF copied.always THEN
            EXECUTE format('ALTER TABLE public.%I ENABLE ALWAYS TRIGGER %I', part, copied.name);
        END IF;
    END LOOP;
    -- Attaching validates the references as the owner, who is bound by the policies too: some tenant must be set.
    PERFORM set_config('app.tenant_id', '_platform', true);
    EXECUTE format('ALTER TABLE %s ATTACH PARTITION public.%I FOR VALUES FROM (%L) TO (%L)', parent, part,
                   first::text || ' 00:00:00+00', (first + interval '1 month')::date::text || ' 00:00:00+00');
    PERFORM set_config('app.tenant_id', caller, true);
    RETURN true;
END $$;

-- What builds walls is the owner's; the application may ask for the tenant and for a coming month.
REVOKE ALL ON FUNCTION public.secure_one_table(regclass, text, text, boolean),
    public.secure_tenant_table(text, text, text, boolean), public.add_tenant_reference(text, text, text, text),
    public.partition_by_month(text, text), public.partition_ensure(text, date) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION public.partition_ensure(text, date) TO kaireon_app;
