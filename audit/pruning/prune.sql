-- Retention of the log. Records leave it in one way: as a whole prefix that a published checkpoint seals, in the
-- transaction that writes its tombstone, by the function below. It runs as kaireon_pruner, whom nobody logs in as; what
-- it may do is bound by triggers, which look at rows and roles and listen to no session switch.

-- When the row was written; the trigger below sets it, whoever inserts.
ALTER TABLE public.audit_tombstone ADD COLUMN written_in xid8 NOT NULL;

-- BEFORE INSERT: what a tombstone says of log, tree, publication and approval must be so.
CREATE FUNCTION public.audit_tombstone_fits() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    begins bigint;
    unfit text;
BEGIN
    SELECT coalesce(max(last_seq), 0) + 1 INTO begins FROM public.audit_tombstone WHERE tenant_id = NEW.tenant_id;
    IF NEW.first_seq <> begins OR NEW.last_seq < begins OR NEW.records <> NEW.last_seq - begins + 1 THEN
        unfit := 'what goes is a prefix, from record ' || begins || ' on';
    ELSIF NOT EXISTS (
        SELECT FROM public.audit_checkpoint c
         WHERE EXISTS (SELECT FROM public.audit_publication p
                        WHERE p.tenant_id = c.tenant_id AND p.tree_size = c.tree_size)
           AND c.tenant_id = NEW.tenant_id AND c.tree_size = NEW.last_seq AND c.root_hash = NEW.root_hash
           -- The least that is kept, whatever a policy says: FLOOR_DAYS of audit/pruning/prune.py.
           AND c.signed_at <= clock_timestamp() - interval '365 days'
    ) THEN
        unfit := 'no checkpoint that was published and signed a year ago seals record ' || NEW.last_seq;
    ELSIF EXISTS (
        SELECT FROM public.audit_checkpoint c
         WHERE c.tenant_id = NEW.tenant_id AND c.tree_size BETWEEN begins AND NEW.last_seq
           AND c.signed_at > clock_timestamp() - interval '365 days'
    ) THEN
        unfit := 'a younger checkpoint seals a part of it, which keeps all after it';
    ELSIF NOT EXISTS (
        SELECT FROM public.audit_record gone JOIN public.audit_record kept
            ON kept.tenant_id = gone.tenant_id AND kept.seq = gone.seq + 1 AND kept.prev_hash = gone.integrity_hash
         WHERE gone.tenant_id = NEW.tenant_id AND gone.seq = NEW.last_seq
           AND gone.integrity_hash = NEW.last_integrity_hash
    ) THEN
        unfit := 'no kept record links to record ' || NEW.last_seq;
    ELSIF NOT EXISTS (
        SELECT FROM public.approvals_approvalrequest
         WHERE tenant_id = NEW.tenant_id AND id = NEW.approval_id AND verb = 'audit_log.prune' AND state = 'approved'
    ) THEN
        unfit := 'nobody has approved it';
    END IF;
    IF unfit IS NOT NULL THEN
        RAISE EXCEPTION 'audit_record is append-only: %', unfit USING ERRCODE = 'insufficient_privilege';
    END IF;
    NEW.written_in := pg_current_xact_id();
    RETURN NEW;
END $$;

CREATE FUNCTION public.audit_pruner_only() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF current_user = 'kaireon_pruner' THEN
        RETURN NULL;
    END IF;
    RAISE EXCEPTION '% is append-only: % is refused for every role, audit_prune() alone writes it', TG_TABLE_NAME, TG_OP
        USING ERRCODE = 'insufficient_privilege';
END $$;

-- BEFORE DELETE on the log: refused to everybody but the function, once its tombstone is written.
CREATE FUNCTION public.audit_lets_go() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF current_user = 'kaireon_pruner' THEN
        IF EXISTS (SELECT FROM public.audit_tombstone
                    WHERE tenant_id = public.current_tenant() AND written_in = pg_current_xact_id()) THEN
            RETURN NULL;
        END IF;
    END IF;
    RAISE EXCEPTION '% is append-only: % is refused for every role', TG_TABLE_NAME, TG_OP
        USING ERRCODE = 'insufficient_privilege';
END $$;

-- AFTER DELETE on the log: exactly the tombstone's range went, and its leaf hashes stand in the tree.
CREATE FUNCTION public.audit_let_go_exactly() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    stone public.audit_tombstone;
BEGIN
    -- More than one in a transaction is refused here too.
    SELECT * INTO STRICT stone FROM public.audit_tombstone
     WHERE tenant_id = public.current_tenant() AND written_in = pg_current_xact_id();
    IF EXISTS (SELECT FROM gone WHERE tenant_id <> stone.tenant_id)
       OR (SELECT count(*) FROM gone) <> stone.records
       OR (SELECT min(seq) FROM gone) <> stone.first_seq OR (SELECT max(seq) FROM gone) <> stone.last_seq THEN
        RAISE EXCEPTION '% is append-only: these are not the records of the tombstone', TG_TABLE_NAME
            USING ERRCODE = 'insufficient_privilege';
    END IF;
    IF EXISTS (
        SELECT FROM (
            SELECT (seq - 1) / 256 AS tile, min((seq - 1) % 256)::integer AS place,
                   string_agg(decode(leaf_hash, 'hex'), ''::bytea ORDER BY seq) AS leaves
              FROM gone GROUP BY 1) g
          LEFT JOIN public.audit_tile t ON t.tenant_id = stone.tenant_id AND t.level = 0 AND t.index = g.tile
         WHERE substr(t.hashes, g.place * 32 + 1, length(g.leaves)) IS DISTINCT FROM g.leaves
    ) THEN
        RAISE EXCEPTION '% is append-only: the tree does not hold the leaf hashes of these records', TG_TABLE_NAME
            USING ERRCODE = 'insufficient_privilege', HINT = 'Verify the log.';
    END IF;
    RETURN NULL;
END $$;

-- Removes the prefix that the signed note names, and says so in the log; how many records. All of it or nothing.
CREATE FUNCTION public.audit_prune(signed_note text) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    tenant text := public.current_tenant();
    said jsonb := split_part(signed_note, E'\n', 2)::jsonb;
    removed bigint;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('audit-prune:' || tenant, 0));
    INSERT INTO public.audit_tombstone (tenant_id, first_seq, last_seq, records, root_hash, last_integrity_hash,
        oldest, newest, policy, approval, approval_id, archive_name, archive_sha256, pruned_at, note)
    VALUES (said ->> 'tenantId', (said ->> 'firstSeq')::bigint, (said ->> 'lastSeq')::bigint,
        (said ->> 'records')::bigint, said ->> 'rootHash', said ->> 'lastIntegrityHash',
        (said ->> 'oldest')::timestamptz, (said ->> 'newest')::timestamptz, said -> 'policy',
        (said -> 'approval') - 'id', (said -> 'approval' ->> 'id')::uuid,
        said -> 'archive' ->> 'name', said -> 'archive' ->> 'sha256', (said ->> 'prunedAt')::timestamptz, signed_note);
    DELETE FROM public.audit_record
     WHERE tenant_id = tenant AND seq BETWEEN (said ->> 'firstSeq')::bigint AND (said ->> 'lastSeq')::bigint;
    GET DIAGNOSTICS removed = ROW_COUNT;
    PERFORM public.audit_event(false, 'audit_log.prune', 'AuditLog', tenant, NULL,
        said || jsonb_build_object('note', signed_note));
    RETURN removed;
END $$;

SELECT public.secure_one_table('public.audit_tombstone', 'tenant_id', 'SELECT', false);
CREATE POLICY pruner ON public.audit_tombstone TO kaireon_pruner
    USING (tenant_id = (SELECT public.current_tenant())) WITH CHECK (tenant_id = (SELECT public.current_tenant()));
GRANT SELECT, INSERT ON public.audit_tombstone TO kaireon_pruner;
CREATE POLICY pruner ON public.audit_record TO kaireon_pruner USING (tenant_id = (SELECT public.current_tenant()));
GRANT SELECT, DELETE ON public.audit_record TO kaireon_pruner;
CREATE POLICY pruner ON public.audit_tile FOR SELECT TO kaireon_pruner
    USING (tenant_id = (SELECT public.current_tenant()));
CREATE POLICY pruner ON public.audit_checkpoint FOR SELECT TO kaireon_pruner
    USING (tenant_id = (SELECT public.current_tenant()));
CREATE POLICY pruner ON public.audit_publication FOR SELECT TO kaireon_pruner
    USING (tenant_id = (SELECT public.current_tenant()));
GRANT SELECT ON public.audit_tile, public.audit_checkpoint, public.audit_publication TO kaireon_pruner;
CREATE POLICY pruner ON public.approvals_approvalrequest FOR SELECT TO kaireon_pruner
    USING (tenant_id = (SELECT public.current_tenant()));
GRANT SELECT (id, tenant_id, verb, state) ON public.approvals_approvalrequest TO kaireon_pruner;

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON public.audit_tombstone
    FOR EACH STATEMENT EXECUTE FUNCTION public.audit_refuse();
CREATE TRIGGER pruner_only BEFORE INSERT ON public.audit_tombstone
    FOR EACH STATEMENT EXECUTE FUNCTION public.audit_pruner_only();
CREATE TRIGGER tombstone_fits BEFORE INSERT ON public.audit_tombstone
    FOR EACH ROW EXECUTE FUNCTION public.audit_tombstone_fits();

DROP TRIGGER append_only ON public.audit_record;
CREATE TRIGGER append_only BEFORE UPDATE OR TRUNCATE ON public.audit_record
    FOR EACH STATEMENT EXECUTE FUNCTION public.audit_refuse();
CREATE TRIGGER append_only_but_prefixes BEFORE DELETE ON public.audit_record
    FOR EACH STATEMENT EXECUTE FUNCTION public.audit_lets_go();
CREATE TRIGGER append_only_but_whole_prefixes AFTER DELETE ON public.audit_record REFERENCING OLD TABLE AS gone
    FOR EACH STATEMENT EXECUTE FUNCTION public.audit_let_go_exactly();

SET LOCAL ROLE kaireon_capture;
GRANT EXECUTE ON FUNCTION public.audit_event(boolean, text, text, text, text, jsonb) TO kaireon_pruner;
RESET ROLE;
REVOKE ALL ON FUNCTION public.audit_prune(text) FROM PUBLIC;
ALTER FUNCTION public.audit_prune(text) OWNER TO kaireon_pruner;
-- Granted by the new owner: a grant of the old one to itself would have turned into the new one's.
SET LOCAL ROLE kaireon_pruner;
GRANT EXECUTE ON FUNCTION public.audit_prune(text) TO kaireon_owner;
RESET ROLE;
