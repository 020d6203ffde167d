/*
 * The protocol of docs/protocol.md, for Spin: `make model` searches every order of its steps.
 *
 * One user, whose document is a set of tokens. Two writers of this release and one of the previous
 * release, which knows the blob alone, add a token each. A worker copies and catches up, a verifier
 * compares, an operator flips forward and back without end. A step, `atomic { … }`, is what
 * PostgreSQL does at one instant: take a snapshot, take a lock, commit. Between two steps anybody
 * may take one of theirs, or the transaction dies, and what it was to do is begun anew.
 *
 * READ COMMITTED: a statement sees what was committed when it began. If it waited for the lock of
 * a row, it sees that row as it is now, and nothing else that is newer.
 */

/* --- Rejected variants, each of which loses an acknowledged write: spin -DNAME=1 ------------- */

#ifndef NO_DRAIN           /* a flip is settled as soon as it is committed */
#define NO_DRAIN 0
#endif
#ifndef NO_OPEN_FLAG       /* a flip is not recorded as open: a drain that dies is forgotten */
#define NO_OPEN_FLAG 0
#endif
#ifndef CACHED_SWITCHES    /* this release asks a cache for the switches, then writes */
#define CACHED_SWITCHES 0
#endif
#ifndef XMIN               /* the drain waits for old snapshots: none is held between statements */
#define XMIN 0
#endif
#ifndef STABLE_SWITCHES    /* the trigger reads the switches by the snapshot of its statement */
#define STABLE_SWITCHES 0
#endif
#ifndef NO_ROW_LOCK        /* this release reads what is stored without a lock */
#define NO_ROW_LOCK 0
#endif
#ifndef READ_WITH_LOCK     /* the typed row is read by the statement that locks */
#define READ_WITH_LOCK 0
#endif
#ifndef ONE_STATEMENT      /* one statement locks, reads and writes */
#define ONE_STATEMENT 0
#endif
#ifndef CAPTURE_MISSES     /* no trigger fires: there is none, or jsonb = calls 1 and 1.0 equal */
#define CAPTURE_MISSES 0
#endif
#ifndef CAPTURE_BEHIND     /* a blob that is behind the tables is captured all the same */
#define CAPTURE_BEHIND 0
#endif
#ifndef MARK_LEFT          /* the mark of our writes is to be cleared after them, and was not */
#define MARK_LEFT 0
#endif
#ifndef COPY_OVERWRITES    /* the copy overwrites a row that it finds */
#define COPY_OVERWRITES 0
#endif
#ifndef INSERT_ONLY        /* no catch-up: that every user was copied is the evidence */
#define INSERT_ONLY 0
#endif
#ifndef CATCH_UP_UNLOCKED  /* catch-up reads one store, then overwrites the other, unlocked */
#define CATCH_UP_UNLOCKED 0
#endif
#ifndef CATCH_UP_UNASKED   /* catch-up does not read the switches again where it locks */
#define CATCH_UP_UNASKED 0
#endif
#ifndef EARLY_VERIFICATION /* a verification that began before the drain had ended counts */
#define EARLY_VERIFICATION 0
#endif
#ifndef OLD_EVIDENCE       /* a verification from before the last flip counts */
#define OLD_EVIDENCE 0
#endif

#ifndef CANARY_STAYS       /* a flip leaves the canary up */
#define CANARY_STAYS 0
#endif
#ifndef CANARY_UNVERIFIED  /* it is raised without a verification since the last flip */
#define CANARY_UNVERIFIED 0
#endif
#ifndef CANARY_WRITES      /* whoever reads the tables by it writes them, too, and them alone */
#define CANARY_WRITES 0
#endif

#ifndef WORKERS /* two of them are eight million states, and find no more */
#define WORKERS 1
#endif

/* --- What is committed ----------------------------------------------------------------------- */

#define NONE  0 /* there is no row: nothing was copied yet */
#define FIRST 1 /* the token that the user had from the beginning */
#define TOKEN(who) ((who) << 1)

byte blob = FIRST;
byte tables = NONE;
byte acknowledged = FIRST;

bool dual_write, read_tables; /* the switches */

#define BLOB            1 /* the routes, in the order of the way */
#define BLOB_MIRRORED   2
#define TABLES_MIRRORED 3
#define TABLES          4
#define ROUTE (read_tables -> (dual_write -> TABLES_MIRRORED : TABLES) : \
                              (dual_write -> BLOB_MIRRORED : BLOB))
#define PRIMARY (read_tables -> tables : blob)

bool canary; /* whether the user reads the tables in BLOB_MIRRORED */
#define BY_CANARY (canary && ROUTE == BLOB_MIRRORED && tables != NONE)

bool unsettled; /* the last transition is open */

/* What a verification that found equality began after; a flip takes that away again. */
#define THE_LAST_FLIP 1 /* and its drain */
#define MIRROR_ON     2 /* the last flip that switched the mirror on, and its drain */
byte evidence;  /* of the latest verification on record */
byte verifying; /* of the one that is running */

/* --- What transactions hold ------------------------------------------------------------------ */

#define FIRST_WRITER 1
#define WRITER       2
#define PREVIOUS     4
#define WORKER       8

byte row_lock;   /* who has locked the user's row */
byte typed_lock; /* who has written the typed row and not yet committed */
byte acts_by[5]; /* by each route, who has read it and not yet ended */
byte holders;    /* who holds a lock on the switches and a writer's lock: whom a drain lists */
byte awaited;    /* of those that the drain has listed, who has not ended */
bool listed;     /* whether it has listed them */
bool marked;     /* MARK_LEFT alone: all writers share one session, as a pool has it */

/* --- What must hold, wherever a step commits or reads the switches --------------------------- */

#define LOST    1
#define APART   2
#define UNEQUAL 3
#ifdef ONLY /* one of them, to see that it can fail */
#define DEMANDED(property) (property == ONLY)
#else
#define DEMANDED(property) true
#endif

bool lost, apart, unequal;

inline check() {
    /* A read picks its store and reads it in one snapshot, so this is every read of this moment. */
    lost = DEMANDED(LOST) && ((acknowledged & ~PRIMARY) != 0 ||
                              BY_CANARY && (acknowledged & ~tables) != 0);
    assert(!lost);
    /* Two open transactions are at most one route apart. */
    apart = DEMANDED(APART) && ((acts_by[BLOB] && (acts_by[TABLES_MIRRORED] || acts_by[TABLES])) ||
                                (acts_by[BLOB_MIRRORED] && acts_by[TABLES]));
    assert(!apart);
    /* Evidence of equality implies equality. */
    unequal = DEMANDED(UNEQUAL) && dual_write && (evidence & MIRROR_ON) && blob != tables;
    assert(!unequal)
}

/* Events that must be possible, lest all of this hold of nothing: spin -DSEEK=EVENT finds one. */
#ifdef SEEK
#define HAPPENS(event) assert((event) != SEEK)
#else
#define HAPPENS(event) skip
#endif
#define ACKNOWLEDGED(who, route) (10 * (who) + (route))
#define DIED(who)                (100 + (who))
#define DRAIN_DIED               100
#define VERIFIER_DIED            103
#define REFUSED_IN_TABLES        111
#define REFUSED_BEHIND           112
#define TRIGGER_SEES_A_FLIP      113
#define COPIED                   114
#define COPY_CLASHES             115
#define CAUGHT_UP                116
#define CAUGHT_UP_IN_REVERSE     117
#define PRIMARY_MOVED            118
#define FOUND_EQUAL              119
#define FOUND_DIFFERENT          120
#define DRAIN_WAITS              121
#define CANARY_RAISED            122
#define CANARY_LOWERED           123
#define CANARY_ENDED             124
#define FLIPPED(from, to)        (200 + 10 * (from) + (to))

/* --- The parts of a transaction -------------------------------------------------------------- */

/* One step, for PostgreSQL takes a statement's locks on tables before its snapshot. */
inline read_switches(me) {
    holders = holders | me;
    acts_by[ROUTE] = acts_by[ROUTE] | me;
    check();
    acts_by[route] = (route != ROUTE -> acts_by[route] & ~me : acts_by[route]);
    route = ROUTE
}

inline end_transaction(me) {
    row_lock = (row_lock == me -> 0 : row_lock);
    typed_lock = (typed_lock == me -> 0 : typed_lock);
    holders = holders & ~me;
    awaited = awaited & ~me;
    acts_by[route] = acts_by[route] & ~me;
    route = 0;
    document = NONE;
    puts_blob = false;
    puts_tables = false
}

inline commit(me, token) {
    blob = (puts_blob -> document : blob);
    tables = (puts_tables -> document : tables);
    acknowledged = acknowledged | token;
    end_transaction(me);
    check()
}

/* An option beside every step: the process, the session or the server dies, or an error ends it. */
#define DIES(me) atomic { true -> HAPPENS(DIED(me)); end_transaction(me); goto again }

/* Users first, then the tables. What is written is its own until the commit. */
inline write(me) {
    if
    :: atomic { (!puts_blob || row_lock == 0 || row_lock == me) && (!puts_tables || !typed_lock) ->
           row_lock = (puts_blob -> me : row_lock);
           typed_lock = (puts_tables -> me : typed_lock) }
    :: DIES(me)
    fi
}

/*
 * The trigger, after an UPDATE of the blob that is not a marked one of ours. It is VOLATILE, so
 * its statements have snapshots of their own.
 */
inline capture(me, fires) {
    if
    :: atomic { fires && !STABLE_SWITCHES ->
           if :: route && route != ROUTE -> HAPPENS(TRIGGER_SEES_A_FLIP) :: else fi;
           read_switches(me) }
    :: atomic { fires && STABLE_SWITCHES -> holders = holders | me }
    :: atomic { !(fires) -> acts_by[route] = acts_by[route] & ~me; route = BLOB }
    :: DIES(me)
    fi;
    if
    :: atomic { route == BLOB -> skip }
    :: atomic { route == BLOB_MIRRORED -> puts_tables = true }
    :: atomic { route == TABLES_MIRRORED && (tables == blob || CAPTURE_BEHIND) ->
           puts_tables = true }
    :: atomic { route == TABLES_MIRRORED && tables != blob && !CAPTURE_BEHIND ->
           HAPPENS(REFUSED_BEHIND); end_transaction(me); goto again }
    :: atomic { route == TABLES -> HAPPENS(REFUSED_IN_TABLES); end_transaction(me); goto again }
    :: DIES(me)
    fi
}

/* --- Two writers of this release: merges by the manager -------------------------------------- */

active [2] proctype Writer() {
    byte me = 1 << _pid; /* FIRST_WRITER and WRITER */
    byte route, document;
    bool puts_blob, puts_tables;
again:
    /* The locking statement: its snapshot, with the switches; then it waits for the row. */
    atomic {
        if :: !CACHED_SWITCHES -> read_switches(me) :: CACHED_SWITCHES -> route = ROUTE fi;
        route = (CANARY_WRITES && canary && route == BLOB_MIRRORED -> TABLES : route);
        document = (READ_WITH_LOCK || ONE_STATEMENT -> PRIMARY : NONE)
    }
    if
    :: atomic { !row_lock || NO_ROW_LOCK ->
           row_lock = (NO_ROW_LOCK -> row_lock : me);
           holders = (XMIN -> holders & ~me : holders | me);
           awaited = (XMIN -> awaited & ~me : awaited);
           acts_by[route] = acts_by[route] | me }
    :: DIES(me)
    fi;
    /* The writing statement, with a snapshot of its own. */
    if
    :: atomic { route <= BLOB_MIRRORED ->
           holders = holders | me;
           document = (ONE_STATEMENT -> document : blob) | TOKEN(me);
           puts_blob = true }
       capture(me, true)
    :: atomic { route >= TABLES_MIRRORED ->
           holders = holders | me;
           document = (READ_WITH_LOCK || ONE_STATEMENT -> document : tables) | TOKEN(me);
           puts_blob = (route == TABLES_MIRRORED);
           puts_tables = true;
           marked = MARK_LEFT }
    :: DIES(me)
    fi;
    write(me);
    if
    :: atomic { true -> HAPPENS(ACKNOWLEDGED(me, route)); commit(me, TOKEN(me)) }
    :: DIES(me)
    fi
}

/* --- A writer of the previous release: user.save() of a user whom it locked and loaded ------- */

active proctype Previous() {
    byte route, document;
    bool puts_blob, puts_tables;
again:
    /* The locked row, as it is after the wait. This code knows of no switch. */
    atomic { !row_lock -> row_lock = PREVIOUS; document = blob | TOKEN(PREVIOUS); puts_blob = true }
    if
    :: atomic { true -> route = (STABLE_SWITCHES -> ROUTE : 0) } /* the snapshot of its UPDATE */
    :: DIES(PREVIOUS)
    fi;
    capture(PREVIOUS, !CAPTURE_MISSES && !marked);
    write(PREVIOUS);
    if
    :: atomic { true ->
           HAPPENS(ACKNOWLEDGED(PREVIOUS, route)); commit(PREVIOUS, TOKEN(PREVIOUS)) }
    :: DIES(PREVIOUS)
    fi
}

/* --- The worker: batches of the copy, and of catch-up ---------------------------------------- */

active [WORKERS] proctype Worker() {
    byte me = WORKER << (_pid - 3); /* the writers have 0 to 2 */
    byte route, document;
    bool puts_blob, puts_tables, reverse;
again:
    reverse = false;
    if
    /* The copy: one statement. It inserts, and waits where somebody else inserts that row. */
    :: atomic { !read_tables && (tables == NONE || COPY_OVERWRITES) ->
           read_switches(me); document = blob; puts_tables = true }
       if
       :: atomic { !typed_lock && (tables == NONE || COPY_OVERWRITES) -> typed_lock = me }
       :: atomic { !typed_lock && tables != NONE && !COPY_OVERWRITES -> /* 23505 */
              HAPPENS(COPY_CLASHES); end_transaction(me); goto again }
       :: DIES(me)
       fi;
       if
       :: atomic { true -> HAPPENS(COPIED); commit(me, 0); goto again }
       :: DIES(me)
       fi
    /* Catch-up: the difference, from the primary of that moment to the mirror. */
    :: atomic { blob != tables && !INSERT_ONLY -> reverse = read_tables }
    fi;
    /* It locks, and reads the switches again: what it overwrites must not be the primary. */
    if
    :: atomic { !CATCH_UP_UNASKED -> read_switches(me) }
    :: atomic { CATCH_UP_UNASKED -> route = (reverse -> TABLES_MIRRORED : BLOB_MIRRORED) }
    fi;
    if
    :: atomic { !row_lock || CATCH_UP_UNLOCKED ->
           row_lock = (CATCH_UP_UNLOCKED -> row_lock : me) }
    :: DIES(me)
    fi;
    if
    :: atomic { reverse && route >= TABLES_MIRRORED -> document = tables; puts_blob = true }
    :: atomic { !reverse && route <= BLOB_MIRRORED -> document = blob; puts_tables = true }
    :: atomic { reverse != (route >= TABLES_MIRRORED) ->
           HAPPENS(PRIMARY_MOVED); end_transaction(me); goto again }
    :: DIES(me)
    fi;
    write(me);
    if
    :: atomic { true ->
           HAPPENS((reverse -> CAUGHT_UP_IN_REVERSE : CAUGHT_UP)); commit(me, 0); goto again }
    :: DIES(me)
    fi
}

/* --- Verification: begun when no transition is open, one snapshot, recorded later ------------ */

active proctype Verifier() {
    bool equal;
again:
    atomic { !unsettled || EARLY_VERIFICATION -> verifying = THE_LAST_FLIP | MIRROR_ON }
    if
    :: atomic { true -> equal = (INSERT_ONLY -> tables != NONE : blob == tables) }
    :: atomic { true -> HAPPENS(VERIFIER_DIED); verifying = 0; goto again }
    fi;
    if
    :: atomic { true ->
           HAPPENS((equal -> FOUND_EQUAL : FOUND_DIFFERENT));
           evidence = (equal -> verifying : 0); /* the latest alone counts */
           verifying = 0;
           equal = false;
           check();
           goto again }
    :: atomic { true -> HAPPENS(VERIFIER_DIED); verifying = 0; equal = false; goto again }
    fi
}

/* --- The operator: any flip that its gates let through, and its drain ------------------------ */

/* One transaction: both switches, the record of an open transition. It makes evidence old. */
inline flip(to) {
    HAPPENS(FLIPPED(ROUTE, to));
    if
    :: OLD_EVIDENCE
    :: !OLD_EVIDENCE && dual_write ->
           evidence = evidence & ~THE_LAST_FLIP; verifying = verifying & ~THE_LAST_FLIP
    :: !OLD_EVIDENCE && !dual_write -> evidence = 0; verifying = 0 /* it switches the mirror on */
    fi;
    dual_write = (to == BLOB_MIRRORED || to == TABLES_MIRRORED);
    read_tables = (to == TABLES_MIRRORED || to == TABLES);
    unsettled = true;
    if :: canary -> HAPPENS(CANARY_ENDED) :: else fi;
    canary = canary && CANARY_STAYS;
    check()
}

/*
 * Whoever needs an open transition settled drains it: the operator, a verification, a backfill.
 * It makes no difference which of them it is, so here it is the operator.
 */
active proctype Operator() {
    byte to;
again:
    to = 0;
    if
    :: atomic { !unsettled ->
           if /* the gates */
           :: ROUTE == BLOB -> to = BLOB_MIRRORED
           :: ROUTE == BLOB_MIRRORED && (evidence & THE_LAST_FLIP) -> to = TABLES_MIRRORED
           :: ROUTE == TABLES_MIRRORED && (evidence & THE_LAST_FLIP) -> to = TABLES
           :: ROUTE == TABLES -> to = TABLES_MIRRORED
           :: ROUTE == TABLES_MIRRORED && (evidence & MIRROR_ON) -> to = BLOB_MIRRORED
           :: ROUTE == BLOB_MIRRORED -> to = BLOB
           fi }
       if
       :: atomic { true -> flip(to) }
       :: goto again /* it dies before the commit */
       fi
    /* The canary: raised under its gate, lowered whenever somebody likes. */
    :: atomic { !unsettled && !canary && ROUTE == BLOB_MIRRORED &&
                ((evidence & THE_LAST_FLIP) || CANARY_UNVERIFIED) ->
           HAPPENS(CANARY_RAISED); canary = true; check() }
    :: atomic { canary -> HAPPENS(CANARY_LOWERED); canary = false }
    :: atomic { unsettled && !listed -> awaited = holders; listed = true }
    :: atomic { unsettled && listed && (!awaited || NO_DRAIN) ->
           unsettled = false; listed = false; awaited = 0 }
    :: atomic { unsettled && listed ->
           HAPPENS(DRAIN_DIED);
           if :: awaited -> HAPPENS(DRAIN_WAITS) :: else fi;
           unsettled = !NO_OPEN_FLAG; listed = false; awaited = 0 }
    fi;
    goto again
}
