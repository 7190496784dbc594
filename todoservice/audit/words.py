"""The words of SQL that the audit knows. What is on none of these lists is a name, or refused."""

from typing import Final


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


KEYWORDS: Final = _words(
    """
    all and any as asc by case cast cross current_date current_time current_timestamp default delete desc distinct do
    else end except exists false for from full group having ilike in inner insert intersect into is join lateral left
    like limit not null offset on or order outer returning right select set some then true union update using when
    where with array between values
    """
)
"""Words that are grammar wherever they stand bare."""

CONTEXT: Final[dict[str, tuple[frozenset[str], frozenset[str]]]] = {
    "at": (_words(""), _words("time")),
    "conflict": (_words("on"), _words("")),
    "cube": (_words(""), _words("(")),
    "current": (_words(""), _words("row")),
    "escape": (_words(""), _words("' %")),
    "filter": (_words(""), _words("(")),
    "first": (_words("nulls"), _words("")),
    "following": (_words("unbounded 0 % '"), _words("")),
    "grouping": (_words(""), _words("sets")),
    "groups": (_words(""), _words("between unbounded current 0 % '")),
    "key": (_words(""), _words("share update")),
    "last": (_words("nulls"), _words("")),
    "locked": (_words("skip"), _words("")),
    "materialized": (_words("as not"), _words("(")),
    "no": (_words(""), _words("key")),
    "nothing": (_words("do"), _words("")),
    "nowait": (_words("update share"), _words("")),
    "nulls": (_words(""), _words("first last")),
    "of": (_words("update share"), _words("")),
    "over": (_words(""), _words("(")),
    "partition": (_words(""), _words("by")),
    "preceding": (_words("unbounded 0 % '"), _words("")),
    "precision": (_words("double"), _words("")),
    "range": (_words(""), _words("between unbounded current 0 % '")),
    "recursive": (_words("with"), _words("")),
    "row": (_words("current"), _words("(")),
    "rows": (_words(""), _words("between unbounded current 0 % '")),
    "rollup": (_words(""), _words("(")),
    "sets": (_words("grouping"), _words("")),
    "share": (_words("for key"), _words("")),
    "skip": (_words(""), _words("locked")),
    "time": (_words("at with without"), _words("")),
    "unbounded": (_words(""), _words("preceding following")),
    "varying": (_words("character"), _words("")),
    "within": (_words(""), _words("group")),
    "without": (_words(""), _words("time")),
    "zone": (_words("time"), _words("")),
}
"""Words that are grammar after or before certain tokens, and names elsewhere. ' % 0 stand for any literal,
placeholder and number."""

BEFORE_PARENTHESIS: Final = KEYWORDS - _words(
    "asc case current_date current_time current_timestamp default delete desc do end false full inner insert into "
    "is null outer set true update"
) | _words("conflict cube filter over materialized rollup row sets varying")
"""Grammar that may stand before a parenthesis: `left` and `right` as functions among them."""

RESERVED: Final = (
    _words(
        """
    all analyse analyze and any array as asc asymmetric both case cast check collate column constraint create
    current_catalog current_date current_role current_time current_timestamp current_user default deferrable desc
    distinct do else end except false fetch for foreign from grant group having in initially intersect into lateral
    leading limit localtime localtimestamp not null offset on only or order placing primary references returning select
    session_user some symmetric system_user table then to trailing true union unique user using variadic when where
    window with authorization binary collation concurrently cross current_schema freeze full ilike inner is isnull join
    left like natural notnull outer overlaps right similar tablesample verbose
    """
    )
    - KEYWORDS
)
"""Words that PostgreSQL (15 to 18) reads as grammar unless they are quoted, and the audit does not know."""

TYPES: Final = _words(
    """
    bigint bool boolean bytea char character date daterange decimal double float float4 float8 int int2 int4 int4range
    int8 int8range integer interval json jsonb numeric numrange real smallint text time timestamp timestamptz timetz
    tsquery tsrange tstzrange tsvector uuid varchar
    """
)
"""Types to cast to. None looks anything up, as reg* types do."""

FIELDS: Final = _words(
    """
    century day decade dow doy epoch hour isodow isoyear microseconds millennium milliseconds minute month quarter
    second timezone week year
    """
)
"""What `extract` takes out of a date."""

SYSTEM_COLUMNS: Final = _words("cmax cmin ctid oid tableoid xmax xmin")

FUNCTIONS: Final = _words(
    """
    array_agg avg bit_and bit_or bool_and bool_or corr count covar_pop covar_samp every json_agg json_object_agg
    jsonb_agg jsonb_object_agg max min mode percentile_cont percentile_disc stddev stddev_pop stddev_samp string_agg
    any_value bit_xor range_agg range_intersect_agg regr_avgx regr_avgy regr_count regr_intercept regr_r2 regr_slope
    regr_sxx regr_sxy regr_syy sum var_pop var_samp variance grouping
    cume_dist dense_rank first_value lag last_value lead nth_value ntile percent_rank rank row_number
    coalesce greatest least nullif num_nonnulls num_nulls
    ascii bit_count bit_length btrim casefold char_length character_length chr concat concat_ws convert_from
    convert_to crc32 crc32c decode encode format initcap left length lower lpad
    ltrim md5 octet_length overlay position quote_ident quote_literal
    quote_nullable regexp_count regexp_instr regexp_like regexp_match regexp_matches regexp_replace
    regexp_split_to_array regexp_split_to_table regexp_substr repeat replace reverse right rpad rtrim sha224 sha256
    sha384 sha512 split_part starts_with string_to_array string_to_table strpos substr substring to_hex
    translate trim upper
    array_to_tsvector numnode phraseto_tsquery plainto_tsquery querytree setweight strip to_tsquery to_tsvector
    ts_delete ts_filter ts_headline ts_rank ts_rank_cd tsquery_phrase tsvector_to_array websearch_to_tsquery
    age clock_timestamp date_add date_bin date_part date_subtract date_trunc extract isfinite justify_days
    justify_hours justify_interval
    make_date make_interval make_time make_timestamp make_timestamptz now statement_timestamp timezone to_char
    to_date
    to_number to_timestamp transaction_timestamp
    abs acos asin atan atan2 cbrt ceil ceiling cos cot degrees div exp factorial floor gcd lcm ln log log10
    min_scale
    mod pi power radians random round scale sign sin sqrt tan trim_scale trunc width_bucket
    array_to_json json_array_elements json_array_elements_text json_array_length json_build_array json_build_object
    json_each json_each_text json_extract_path json_extract_path_text json_object json_object_keys
    json_strip_nulls json_typeof
    jsonb_array_elements jsonb_array_elements_text jsonb_array_length jsonb_build_array jsonb_build_object
    jsonb_each
    jsonb_each_text jsonb_extract_path jsonb_extract_path_text jsonb_insert jsonb_object jsonb_object_keys
    jsonb_path_exists jsonb_path_match jsonb_path_query jsonb_path_query_array jsonb_path_query_first
    jsonb_pretty jsonb_set jsonb_strip_nulls
    jsonb_typeof row_to_json to_json to_jsonb
    array_append array_cat array_dims array_fill array_length array_ndims array_lower array_position
    array_positions array_prepend array_remove
    array_replace array_reverse array_sample array_shuffle array_sort array_to_string array_upper cardinality
    generate_series generate_subscripts trim_array unnest
    enum_first enum_last enum_range isempty lower_inc lower_inf range_merge upper_inc upper_inf
    gen_random_uuid uuidv4 uuidv7
    """
)
"""Functions of PostgreSQL that only compute: none reads a table, a setting or a file, and none changes anything."""

NAMED_COLUMNS: Final[dict[str, tuple[str, ...]]] = {
    **dict.fromkeys(
        _words("json_array_elements json_array_elements_text jsonb_array_elements jsonb_array_elements_text"),
        ("value",),
    ),
    **dict.fromkeys(_words("json_each json_each_text jsonb_each jsonb_each_text"), ("key", "value")),
}
"""The columns of those functions that give names to theirs. All others have one, named as the function or its alias."""

COMPOSITE: Final = _words("coalesce greatest least lower nullif unnest upper")
"""Functions that may return a row, whose columns nobody knows: those of what they are given."""

OPERATORS: Final = _words("+ - * / %% ^ || = <> != < > <= >= ~ ~* !~ !~* -> ->> #> #>> @> <@ && @@ & |")
