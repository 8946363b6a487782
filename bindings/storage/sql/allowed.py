"""What SQL may do in a D1 database: the functions, PRAGMAs and virtual tables that Cloudflare's local D1 has.

The lists were read off workerd, call by call; whatever is not in them is refused.
"""

from __future__ import annotations


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


FUNCTIONS = _words(
    """
    abs changes char coalesce concat concat_ws format glob hex ifnull iif instr last_insert_rowid length like likelihood
    likely load_extension lower ltrim max min nullif octet_length printf quote random randomblob replace round rtrim
    sign soundex substr substring total_changes trim typeof unhex unicode unlikely upper zeroblob
    current_date current_time current_timestamp date datetime julianday strftime time timediff unixepoch
    avg count group_concat string_agg sum total
    cume_dist dense_rank first_value lag last_value lead nth_value ntile percent_rank rank row_number
    acos acosh asin asinh atan atan2 atanh ceil cos cosh degrees exp floor ln log log2 mod pi pow radians sin sinh sqrt
    tan tanh trunc
    -> ->> json json_array json_array_length json_each json_extract json_group_array json_group_object json_insert
    json_object json_patch json_quote json_remove json_replace json_set json_tree json_type json_valid
    jsonb jsonb_array jsonb_extract jsonb_group_array jsonb_group_object jsonb_insert jsonb_object jsonb_patch
    jsonb_remove jsonb_replace jsonb_set
    bm25 highlight match rtreecheck snippet
    sqlite_drop_column sqlite_rename_column sqlite_rename_quotefix sqlite_rename_table sqlite_rename_test
    """
)
"""``load_extension`` is let through to SQLite's own refusal and its text: no connection can load any."""

ABOUT_THE_CONNECTION = frozenset({"changes", "last_insert_rowid", "total_changes"})
"""Functions that only the connection which writes can answer."""

SCHEMA_PRAGMAS = _words(
    """foreign_key_check foreign_key_list index_info index_list index_xinfo page_size quick_check table_info table_list
    table_xinfo"""
)
SETTING_PRAGMAS = _words(
    """case_sensitive_like data_version defer_foreign_keys foreign_keys ignore_check_constraints legacy_alter_table
    optimize recursive_triggers reverse_unordered_selects"""
)
"""PRAGMAs of the connection which writes."""

MODULES = frozenset({"fts5", "fts5vocab", "rtree", "rtree_i32"})  # of virtual tables that may be made

RESERVED = "_cf_"  # how names begin that are Cloudflare's own

NO_TRANSACTIONS = (
    "To execute a transaction, please use the state.storage.transaction() or state.storage.transactionSync() APIs "
    "instead of the SQL BEGIN TRANSACTION or SAVEPOINT statements. The JavaScript API is safer because it will "
    "automatically roll back on exceptions, and because it interacts correctly with Durable Objects' automatic atomic "
    "write coalescing."
)
