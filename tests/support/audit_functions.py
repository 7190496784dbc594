"""A call of each function that the audit allows, as an item of a SELECT that PostgreSQL runs."""

from typing import Final

CALLS: Final = """
array_agg(1)
avg(1)
bit_and(1)
bit_or(1)
bool_and(true)
bool_or(true)
corr(1, 2)
count(*)
covar_pop(1, 2)
covar_samp(1, 2)
every(true)
json_agg(1)
json_object_agg('a', 1)
jsonb_agg(1)
jsonb_object_agg('a', 1)
max(1)
min(1)
mode() WITHIN GROUP (ORDER BY 1)
percentile_cont(0.5) WITHIN GROUP (ORDER BY 1)
percentile_disc(0.5) WITHIN GROUP (ORDER BY 1)
stddev(1)
stddev_pop(1)
stddev_samp(1)
string_agg('a', ',')
any_value(1)
bit_xor(1)
range_agg('[1,2)'::int4range)
range_intersect_agg('[1,2)'::int4range)
regr_avgx(1, 2)
regr_avgy(1, 2)
regr_count(1, 2)
regr_intercept(1, 2)
regr_r2(1, 2)
regr_slope(1, 2)
regr_sxx(1, 2)
regr_sxy(1, 2)
regr_syy(1, 2)
sum(1)
var_pop(1)
var_samp(1)
variance(1)
grouping(x.a) FROM (SELECT 1 AS a) AS x GROUP BY x.a
cume_dist() OVER (ORDER BY 1)
dense_rank() OVER (ORDER BY 1)
first_value(1) OVER (ORDER BY 1)
lag(1) OVER (ORDER BY 1)
last_value(1) OVER (ORDER BY 1)
lead(1) OVER (ORDER BY 1)
nth_value(1, 1) OVER (ORDER BY 1)
ntile(2) OVER (ORDER BY 1)
percent_rank() OVER (ORDER BY 1)
rank() OVER (ORDER BY 1)
row_number() OVER (ORDER BY 1)
coalesce(NULL, 1)
greatest(1, 2)
least(1, 2)
nullif(1, 2)
num_nonnulls(1, NULL)
num_nulls(1, NULL)
ascii('a')
bit_count('a'::bytea)
bit_length('a')
btrim(' a ')
casefold('A')
char_length('a')
character_length('a')
chr(65)
concat('a', 1)
concat_ws(',', 'a', 1)
convert_from('a'::bytea, 'UTF8')
convert_to('a', 'UTF8')
crc32('a'::bytea)
crc32c('a'::bytea)
decode('61', 'hex')
encode('a'::bytea, 'hex')
format('a')
initcap('a')
left('abc', 2)
length('abc')
lower('A')
lpad('a', 3, ' ')
ltrim(' a')
md5('a')
octet_length('a')
overlay('abc', 'x', 1)
position('b' IN 'abc')
quote_ident('a')
quote_literal('a')
quote_nullable('a')
regexp_count('aba', 'a')
regexp_instr('aba', 'a')
regexp_like('aba', 'a')
regexp_match('aba', 'a')
regexp_matches('aba', 'a')
regexp_replace('aba', 'a', 'b')
regexp_split_to_array('a b', ' ')
regexp_split_to_table('a b', ' ')
regexp_substr('aba', 'a')
repeat('a', 2)
replace('a', 'a', 'b')
reverse('ab')
right('abc', 2)
rpad('a', 3, ' ')
rtrim('a ')
sha224('a'::bytea)
sha256('a'::bytea)
sha384('a'::bytea)
sha512('a'::bytea)
split_part('a,b', ',', 1)
starts_with('ab', 'a')
string_to_array('a,b', ',')
string_to_table('a,b', ',')
strpos('ab', 'b')
substr('abc', 2)
substring('abc', 2, 1)
to_hex(255)
translate('abc', 'a', 'b')
trim(' a ')
upper('a')
array_to_tsvector(ARRAY['a'])
numnode(to_tsquery('english', 'cat'))
phraseto_tsquery('english', 'a b')
plainto_tsquery('english', 'a b')
querytree(to_tsquery('english', 'cat'))
setweight(to_tsvector('english', 'a cat'), 'A')
strip(to_tsvector('english', 'a cat'))
to_tsquery('english', 'cat')
to_tsvector('english', 'a cat')
ts_delete(to_tsvector('english', 'a cat'), 'a')
ts_filter(setweight(to_tsvector('english', 'cat'), 'A'), '{a}')
ts_headline('english', 'a cat', to_tsquery('english', 'cat'))
ts_rank(to_tsvector('english', 'a cat'), to_tsquery('english', 'cat'))
ts_rank_cd(to_tsvector('english', 'a cat'), to_tsquery('english', 'cat'))
tsquery_phrase(to_tsquery('english', 'cat'), to_tsquery('english', 'dog'))
tsvector_to_array(to_tsvector('english', 'a cat'))
websearch_to_tsquery('english', 'a cat')
age(current_date, current_date)
clock_timestamp()
date_add(now(), interval '1 day')
date_bin(interval '1 day', now(), now())
date_part('year', now())
date_subtract(now(), interval '1 day')
date_trunc('day', now())
extract(year FROM now())
isfinite(current_date)
justify_days(interval '1 day')
justify_hours(interval '1 day')
justify_interval(interval '1 day')
make_date(2026, 1, 1)
make_interval(1)
make_time(1, 1, 1)
make_timestamp(2026, 1, 1, 1, 1, 1)
make_timestamptz(2026, 1, 1, 1, 1, 1)
now()
statement_timestamp()
timezone('UTC', now())
to_char(1, '9')
to_date('2026', 'YYYY')
to_number('1', '9')
to_timestamp(1)
transaction_timestamp()
abs(1)
acos(1)
asin(1)
atan(1)
atan2(1, 1)
cbrt(1)
ceil(1.5)
ceiling(1.5)
cos(1)
cot(1)
degrees(1)
div(3, 2)
exp(1)
factorial(3)
floor(1.5)
gcd(4, 6)
lcm(4, 6)
ln(1)
log(10)
log10(10)
min_scale(1.50)
mod(3, 2)
pi()
power(2, 3)
radians(1)
random()
round(1.5)
scale(1.5)
sign(1)
sin(1)
sqrt(4)
tan(1)
trim_scale(1.50)
trunc(1.5)
width_bucket(1, 0, 2, 2)
array_to_json(ARRAY[1])
json_array_elements('[1]')
json_array_elements_text('[1]')
json_array_length('[1]')
json_build_array(1)
json_build_object('a', 1)
json_each('{}')
json_each_text('{}')
json_extract_path('{}', 'a')
json_extract_path_text('{}', 'a')
json_object('{a,b}')
json_object_keys('{}')
json_strip_nulls('{}')
json_typeof('{}')
jsonb_array_elements('[1]')
jsonb_array_elements_text('[1]')
jsonb_array_length('[1]')
jsonb_build_array(1)
jsonb_build_object('a', 1)
jsonb_each('{}')
jsonb_each_text('{}')
jsonb_extract_path('{}', 'a')
jsonb_extract_path_text('{}', 'a')
jsonb_insert('{}', ARRAY['a'], '1')
jsonb_object(ARRAY['a', 'b'])
jsonb_object_keys('{}')
jsonb_path_exists('{}', '$.a')
jsonb_path_match('{}', '1 == 1')
jsonb_path_query('{}', '$.a')
jsonb_path_query_array('{}', '$.a')
jsonb_path_query_first('{}', '$.a')
jsonb_pretty('{}')
jsonb_set('{}', ARRAY['a'], '1')
jsonb_strip_nulls('{}')
jsonb_typeof('{}')
row_to_json(x) FROM (SELECT 1 AS a) AS x
to_json(1)
to_jsonb(1)
array_append(ARRAY[1], 2)
array_cat(ARRAY[1], ARRAY[2])
array_dims(ARRAY[1])
array_fill(1, ARRAY[2])
array_length(ARRAY[1], 1)
array_lower(ARRAY[1], 1)
array_ndims(ARRAY[1])
array_position(ARRAY[1], 1)
array_positions(ARRAY[1], 1)
array_prepend(1, ARRAY[2])
array_remove(ARRAY[1], 1)
array_replace(ARRAY[1], 1, 2)
array_reverse(ARRAY[1, 2])
array_sample(ARRAY[1, 2], 1)
array_shuffle(ARRAY[1, 2])
array_sort(ARRAY[2, 1])
array_to_string(ARRAY[1], ',')
array_upper(ARRAY[1], 1)
cardinality(ARRAY[1])
generate_series(1, 2)
generate_subscripts(ARRAY[1], 1)
trim_array(ARRAY[1, 2], 1)
unnest(ARRAY[1])
enum_first(m.name) FROM todoservice.moods AS m
enum_last(m.name) FROM todoservice.moods AS m
enum_range(m.name) FROM todoservice.moods AS m
isempty('[1,2)'::int4range)
lower_inc('[1,2)'::int4range)
lower_inf('[1,2)'::int4range)
range_merge('[1,2)'::int4range, '[3,4)'::int4range)
upper_inc('[1,2)'::int4range)
upper_inf('[1,2)'::int4range)
gen_random_uuid()
uuidv4()
uuidv7()
""".strip().splitlines()

SINCE: Final = {
    **dict.fromkeys(["any_value", "array_sample", "array_shuffle", "date_add", "date_subtract"], 160000),
    **dict.fromkeys(["array_reverse", "array_sort", "casefold", "crc32", "crc32c", "uuidv4", "uuidv7"], 180000),
    "system_user": 160000,
}
"""The first version of PostgreSQL that has the function or word, if PostgreSQL 15 lacks it."""

SYNTAX: Final = frozenset(
    ["coalesce", "extract", "greatest", "grouping", "least", "nullif", "overlay", "position", "substring", "trim"]
)
"""Functions that PostgreSQL's grammar has a form for. Some have an entry in the catalog besides."""

VOLATILE: Final = {
    "array_sample": "takes its rows at random",
    "array_shuffle": "orders at random",
    "clock_timestamp": "reads the clock",
    "gen_random_uuid": "is random",
    "random": "is random",
    "uuidv4": "is random",
    "uuidv7": "reads the clock, and is random",
}

_CLOCK: Final = "returns when the transaction or statement began"
_ZONE: Final = "uses the session's time zone, which is the service's own"
_OUTPUT: Final = "writes its arguments as text with their types' output functions"
_LOCALE: Final = "uses the session's locale or time zone, which are the service's own"
_SEARCH: Final = "uses the session's text search configuration if it is given none, which is the service's own"
_ENCODING: Final = "converts to or from an encoding by the catalog of conversions, which all users share"
_ENUM: Final = "returns the labels of a type, which all users share"

STABLE: Final = {
    **dict.fromkeys(["now", "statement_timestamp", "transaction_timestamp"], _CLOCK),
    **dict.fromkeys(
        [
            "date_add",
            "date_part",
            "date_subtract",
            "date_trunc",
            "extract",
            "generate_series",
            "make_timestamptz",
            "timezone",
        ],
        _ZONE,
    ),
    **dict.fromkeys(
        [
            "array_to_json",
            "array_to_string",
            "concat",
            "concat_ws",
            "format",
            "json_agg",
            "json_build_array",
            "json_build_object",
            "json_object_agg",
            "jsonb_agg",
            "jsonb_build_array",
            "jsonb_build_object",
            "quote_literal",
            "quote_nullable",
            "row_to_json",
            "to_json",
            "to_jsonb",
        ],
        _OUTPUT,
    ),
    **dict.fromkeys(["to_char", "to_date", "to_number", "to_timestamp"], _LOCALE),
    **dict.fromkeys(
        ["phraseto_tsquery", "plainto_tsquery", "to_tsquery", "to_tsvector", "ts_headline", "websearch_to_tsquery"],
        _SEARCH,
    ),
    **dict.fromkeys(["convert_from", "convert_to", "length"], _ENCODING),
    **dict.fromkeys(["enum_first", "enum_last", "enum_range"], _ENUM),
    "age": "uses the current date, or subtracts a transaction id, a number that every transaction takes",
    "jsonb_object_agg": _OUTPUT,
}
"""Functions of which a form depends on the session or the catalog, and why that reveals no row."""

IN_SQL: Final = {
    "age": "age with the current date",
    "bit_length": "octet_length times eight",
    "date_part": "date_part of a timestamp",
    "log": "log with the base 10",
    "log10": "log with the base 10",
    "lpad": "lpad with a space",
    "quote_literal": "quote_literal of the text",
    "quote_nullable": "quote_nullable of the text",
    "round": "round to no digits",
    "rpad": "rpad with a space",
    "substring": "substring of a regular expression",
    "trunc": "trunc to no digits",
}
"""Functions of which a form is written in SQL: what it calls."""
