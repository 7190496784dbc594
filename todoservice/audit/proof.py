"""The proof that every owned table of a statement is confined to one user, from the tree of the statement.

A proof checker, not a search for bad things: the parts that each kind of node may have are listed, and everything else
is refused. A table is confined if every row that gets through carries the user: by an equality of its `user_id` with a
bound parameter, or with the `user_id` of a table so confined, as a whole conjunct of WHERE or of a join's ON.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

import sqlalchemy as sa
from sqlglot import exp

from todoservice.audit.expressions import Values, called_function, kind_of, parts_of
from todoservice.audit.reading import Reading, refuse
from todoservice.audit.relations import NOTHING_KNOWN, OWNER, Outputs, Place, Relation, Relations, Sources, parameter
from todoservice.audit.words import COMPOSITE, FUNCTIONS, NAMED_COLUMNS

_KEPT: Final = frozenset({OWNER, "id"})


class Proof(Values):
    """Checks one statement. `anchors` are then the numbers of the placeholders that must be the user.

    `inserts` is True if it adds rows, `changes` the number of its parts that change any, and `returns` is True if it
    returns rows.
    """

    def __init__(
        self, owned: Mapping[str, sa.Table], shared: Mapping[str, sa.Table], schema: str, functions: frozenset[str]
    ) -> None:
        """Take the declared tables by their names within the schema."""
        super().__init__(functions)
        self._owned = owned
        self._tables = {**shared, **owned}
        self._schema = schema
        self._selects = 0
        self.anchors: set[int] = set()
        self.inserts = False
        self.changes = 0
        self.returns = False

    def check(self, statement: Any, reading: Reading) -> None:
        """Prove the statement, or raise Refused."""
        self.returns = not isinstance(statement, exp.DML) or statement.args.get("returning") is not None
        self._statement(statement, Place())
        if self._selects != reading.selects or len(self._placeholders) != len(reading.names):
            refuse("has a part that the parser did not show: write it another way")

    # Statements

    def _statement(self, node: Any, place: Place) -> Outputs:
        self.changes += isinstance(node, exp.DML)
        match node:
            case exp.Insert():
                return self._insert(node, place)
            case exp.Update():
                return self._update(node, place)
            case exp.Delete():
                return self._delete(node, place)
            case _:
                return self._query(node, place)

    def _query(self, node: Any, place: Place, owner_at: int | None = None) -> Outputs:
        """Check a query. `owner_at` is the position of the item that becomes a new row's owner, in INSERT."""
        # A loop along the left side, since a chain of UNION is as deep as it is long.
        while not isinstance(node, exp.Select):
            if not isinstance(node, exp.Union | exp.Except | exp.Intersect | exp.Subquery) or node.args.get("alias"):
                refuse(f"holds {kind_of(node)}, which the audit does not know: use SELECT, INSERT, UPDATE or DELETE")
            parts = parts_of(node)
            place = self._with(parts.pop("with_", None), place)
            node = parts.pop("this")
            if "expression" in parts:
                self._query(parts.pop("expression"), place, owner_at)
            self._clauses(parts, place)
        return self._select(node, place, owner_at)

    def _select(self, node: exp.Select, place: Place, owner_at: int | None) -> Outputs:
        self._selects += 1
        parts = parts_of(node)
        place = self._with(parts.pop("with_", None), place)
        sources, joins, first = Sources(), parts.pop("joins", []), parts.pop("from_", None)
        if first is not None:
            self._tree(parts_of(first)["this"], joins, sources, place)
        elif joins:
            refuse("joins to nothing")
        inside = self._confine(sources, parts.get("where"), place)
        self._locks(parts.pop("locks", []), sources.relations)
        items = parts.get("expressions", [])
        if owner_at is not None:
            self._owner_item(items, owner_at, sources)
        self._clauses(parts, inside)
        return _outputs(items, sources.relations)

    def _with(self, node: Any, place: Place) -> Place:
        for query in [] if node is None else parts_of(node)["expressions"]:
            parts = parts_of(query)
            alias = parts_of(parts["alias"])
            name, columns = alias["this"].name, [column.name for column in alias.get("columns", [])]
            self._check_name(name, None)
            if name.startswith("pg_"):
                refuse(f"gives the name {name} to a query: those that begin with pg_ are PostgreSQL's own")
            within = place
            if node.args.get("recursive"):
                first = _first_select(parts["this"])
                within = place.knowing(name, _outputs(first.expressions if first else [], {}).renamed(columns))
            place = place.knowing(name, self._statement(parts["this"], within).renamed(columns))
        return place

    def _locks(self, locks: Iterable[Any], relations: Relations) -> None:
        for lock in locks:
            names = {table.name for table in parts_of(lock).get("expressions", []) if not table.args.get("db")}
            shared = [relation.name for relation in relations.values() if not relation.owned]
            if shared or not names <= relations.keys():
                refuse(f"locks {', '.join(shared) or 'what it does not read'}: lock owned tables only")

    def _insert(self, node: exp.Insert, place: Place) -> Outputs:
        self.inserts = True
        parts = parts_of(node)
        place = self._with(parts.pop("with_", None), place)
        schema = parts.pop("this")
        if not isinstance(schema, exp.Schema):
            refuse(f"inserts without naming columns: write INSERT INTO ... ({OWNER}, id, ...)")
        target = self._target(parts_of(schema)["this"])
        columns = [self._known(target, column) for column in schema.expressions]
        if columns.count(OWNER) != 1:
            refuse(f"inserts into {target.table} without {OWNER}: name it once, and give it the bound user")
        self._inserted(parts.pop("expression", None), columns, place)
        target.confined = True
        if "conflict" in parts:
            self._conflict(parts.pop("conflict"), target, place)
        self._clauses(parts, place.within({target.name: target}))
        return _returned(parts, {target.name: target})

    def _inserted(self, source: Any, columns: list[str], place: Place) -> None:
        if source is None:
            refuse(f"inserts default values: name the columns, {OWNER} among them, and write VALUES")
        if not isinstance(source, exp.Values):
            self._query(source, place, columns.index(OWNER))
            return
        for row in parts_of(source)["expressions"]:
            items = row.expressions if isinstance(row, exp.Tuple) else []
            if len(items) != len(columns):
                refuse("inserts a row of another length than its list of columns")
            self._owner_value(items[columns.index(OWNER)])
            self._values([row], place)

    def _owner_value(self, node: Any) -> None:
        number = parameter(node)
        if number is None:
            refuse(f"gives a new row a {OWNER} that is no bound parameter: bind the scope's user there")
        self.anchors.add(number)

    def _owner_item(self, items: list[Any], at: int, sources: Sources) -> None:
        """Check what an INSERT ... SELECT gives as the owner: the user, or the owner of a confined row."""
        if len(items) <= at or any(item.is_star for item in items):
            refuse(f"inserts a SELECT whose {OWNER} is not to be seen: list its columns, without *")
        item = items[at].unalias()
        if isinstance(item, exp.Cast) and item.to.this == exp.DataType.Type.UUID and parameter(item) is None:
            item = item.this
        relation = sources.of(item, OWNER) if isinstance(item, exp.Column) else None
        rows = sources.rows_of(item)
        for value in rows:
            self._owner_value(value)
        if not rows and not (relation and relation.confined):
            self._owner_value(item)

    def _conflict(self, node: Any, target: Relation, place: Place) -> None:
        parts = parts_of(node)
        keys = [self._known(target, key) for key in parts.pop("conflict_keys", [])]
        updates = parts.pop("expressions", [])
        parts.pop("action", None)
        if OWNER not in keys and (keys or updates or not _owner_in_every_key(target.table)):
            refuse(
                f"may meet another user's row of {target.table}: write ON CONFLICT ({OWNER}, id), or another key that "
                f"holds {OWNER}"
            )
        excluded = Relation("excluded", target.table, owned=True, confined=True, outputs=target.outputs)
        inside = place.within({target.name: target}).within({"excluded": excluded})
        self._assignments(updates, target, inside)
        self._clauses(parts, inside)

    def _update(self, node: exp.Update, place: Place) -> Outputs:
        parts = parts_of(node)
        place = self._with(parts.pop("with_", None), place)
        target = self._target(parts.pop("this"))
        sources = Sources({target.name: target})
        if "from_" in parts:
            self._tree(parts_of(parts.pop("from_"))["this"], [], sources, place)
        inside = self._confine(sources, parts.get("where"), place)
        self._assignments(parts.pop("expressions", []), target, inside)
        self._clauses(parts, inside)
        return _returned(parts, sources.relations)

    def _assignments(self, updates: Iterable[Any], target: Relation, place: Place) -> None:
        for update in updates:
            if type(update) is not exp.EQ:
                refuse(f"sets {kind_of(update)}: write SET column = value for each column")
            name = self._known(target, update.this)
            if name in _KEPT:
                refuse(f"sets {name} of {target.table}: a row keeps its owner and its id for life")
            self._values([update.expression], place)

    def _delete(self, node: exp.Delete, place: Place) -> Outputs:
        parts = parts_of(node)
        place = self._with(parts.pop("with_", None), place)
        target = self._target(parts.pop("this"))
        sources = Sources({target.name: target})
        for source in parts.pop("using", []):
            self._tree(source, [], sources, place)
        self._clauses(parts, self._confine(sources, parts.get("where"), place))
        return _returned(parts, sources.relations)

    def _target(self, node: Any) -> Relation:
        if not isinstance(node, exp.Table) or node.args.get("joins"):
            refuse(f"writes to {kind_of(node)}: write to one owned table")
        relation = self._table(node, Place())
        if not relation.owned:
            refuse(f"writes to {relation.table}, which is shared by all users: change it in a migration")
        return relation

    def _known(self, target: Relation, node: Any) -> str:
        """Return the name of a column that is written: a bare one of the table."""
        node = node.this if isinstance(node, exp.Ordered) else node
        if isinstance(node, exp.Column) and not node.table:
            node = node.this
        if not isinstance(node, exp.Identifier) or target.table is None or node.name not in target.table.columns:
            refuse(f"writes to {node.sql()}, which is no column of {target.table}")
        return node.name

    # Relations

    def _tree(self, first: Any, joins: list[Any], sources: Sources, place: Place) -> frozenset[str]:
        """Add the relations of a source and of what is joined to it. Return their names."""
        names = group = self._source(first, sources, place)
        for join in [*(first.args.get("joins") or ()), *joins]:
            parts = parts_of(join)
            right = self._tree(parts["this"], [], sources, place)
            names |= right
            side, kind, on = parts.get("side", ""), parts.get("kind", ""), parts.get("on")
            if not (side or kind or on):
                # A comma: an ON that comes later cannot name what is on its left, and would look further out for it.
                group = right
                continue
            sources.join(side, kind, on, group, right)
            group |= right
        return names

    def _source(self, node: Any, sources: Sources, place: Place) -> frozenset[str]:
        if isinstance(node, exp.Subquery) and isinstance(node.this, exp.Table | exp.Subquery):
            if node.args.get("alias"):
                refuse("gives a name to a join in parentheses: name its tables instead")
            return self._tree(parts_of(node)["this"], [], sources, place)
        relation = self._relation(node, sources, place)
        if relation.name in sources.relations:
            refuse(f"uses the name {relation.name} twice: write AS with another name")
        for outer in place.around:
            if relation.name in outer and outer[relation.name].table is not relation.table:
                refuse(f"uses the name {relation.name} for two things: write AS with another name")
        sources.relations[relation.name] = relation
        return frozenset({relation.name})

    def _relation(self, node: Any, sources: Sources, place: Place) -> Relation:
        parts = parts_of(node)
        if isinstance(node, exp.Table) and not isinstance(node.this, exp.Anonymous):
            return self._table(node, place)
        name, columns = self._alias(node)
        relation = Relation(name)
        if isinstance(node, exp.Subquery):
            inner = parts["this"] if parts.keys() <= {"this", "alias", "joins"} else node
            relation.outputs = self._query(inner, place).renamed(columns)
        elif isinstance(node, exp.Values):
            self._values(parts["expressions"], place)
            relation.outputs = _values_outputs(node.expressions).renamed(columns)
            relation.rows = [
                dict(zip(relation.outputs.names, row.expressions, strict=False)) for row in node.expressions
            ]
        elif isinstance(node, exp.Table | exp.Lateral):
            # Checked later, when it is known which of the relations on its left are confined.
            beside = place.within(dict(sources.relations))
            sources.laterals.append((relation, node.this, beside))
            inside = isinstance(node.this, exp.Subquery)
            relation.outputs = NOTHING_KNOWN if inside else _columns_of(node.this, name)
            relation.outputs = relation.outputs.renamed(columns)
        else:
            refuse(f"reads from {kind_of(node)}: read from tables that a plugin has declared, or from a query")
        return relation

    def _alias(self, node: Any) -> tuple[str, list[str]]:
        alias = node.args.get("alias")
        if alias is None:
            refuse("reads from a query or a function without a name: write AS and a name")
        self._check_name(alias.name, None)
        return alias.name, [column.name for column in parts_of(alias).get("columns", [])]

    def _table(self, node: exp.Table, place: Place) -> Relation:
        parts = parts_of(node)
        name, schema = node.name, node.db
        if not schema and name in place.queries:
            alias = node.alias or name
            self._check_name(alias, None)
            columns = [column.name for column in node.args["alias"].columns] if "alias" in parts else []
            return Relation(alias, outputs=place.queries[name].renamed(columns))
        table = self._tables.get(name) if schema == self._schema else None
        if table is None:
            refuse(self._unknown(schema, name))
        if "alias" in parts:
            if parts_of(parts["alias"]).keys() != {"this"}:
                refuse(f"renames the columns of {table}: leave the list of columns out")
            self._check_name(node.alias, table)
        outputs = Outputs(tuple(column.name for column in table.columns))
        return Relation(
            node.alias or name, table, owned=name in self._owned, renamed="alias" in parts, outputs=outputs
        )  # fmt: skip

    def _unknown(self, schema: str, name: str) -> str:
        if not schema and name in self._tables:
            return f"reads {name} without its schema: write {self._schema}.{name}"
        known = f"{schema}.{name}" if schema else name
        return f"reads {known}, which no plugin has declared: return its class from todoservice_models"

    def _check_name(self, name: str, table: sa.Table | None) -> None:
        if name in self._tables and self._tables[name] is not table:
            refuse(f"gives the name of the table {name} to something else: write AS with another name")

    def _confine(self, sources: Sources, where: Any, place: Place) -> Place:
        """Prove each owned table of the sources confined. Return the place within, having checked the joins' ON."""
        self.anchors |= sources.confine(None if where is None else where.this, place)
        for relation in sources.relations.values():
            if relation.owned and not relation.confined:
                refuse(
                    f"reaches {relation.table} without its user: add {relation.name}.{OWNER} = :me to the WHERE of "
                    "that SELECT, UPDATE or DELETE, or to the ON of its join, as a condition of its own beside the "
                    "rest, and parentheses around an OR"
                )
        for relation, node, beside in sources.laterals:
            if isinstance(node, exp.Subquery):
                # Its alias is the parser's, moved to the node around.
                relation.outputs = self._query(node, beside).renamed(relation.outputs.names)
            else:
                self._values([node], beside)
        inside = place.within(sources.relations)
        self._values(sources.ons, inside)
        return inside


def _columns_of(call: Any, alias: str) -> Outputs:
    """Return the columns of a function in FROM: its own, or one that is named as its alias.

    Nothing is known of a function that only the operator allows: it may return a row of any columns.
    """
    name = called_function(call)
    if name in NAMED_COLUMNS:
        return Outputs(NAMED_COLUMNS[name])
    if name == "unnest" and all(map(_is_plain_array, call.expressions)) and len(call.expressions) == 1:
        return Outputs((alias,))
    return Outputs((alias,)) if name in FUNCTIONS - COMPOSITE else NOTHING_KNOWN


def _is_plain_array(node: Any) -> bool:
    """Return True for an array of literals, and for one that is cast to an array: their items are no rows."""
    if type(node) is exp.Cast:
        return bool(node.to.this == exp.DataType.Type.ARRAY)
    return called_function(node) == "array" and all(type(item) in {exp.Literal, exp.Cast} for item in node.expressions)


def _values_outputs(rows: Iterable[Any]) -> Outputs:
    width = max((len(row.expressions) for row in rows), default=0)
    return Outputs(tuple(f"column{number}" for number in range(1, width + 1)))


def _returned(parts: Mapping[str, Any], relations: Relations) -> Outputs:
    returning = parts.get("returning")
    return _outputs(returning.expressions if returning is not None else [], relations)


def _outputs(items: Iterable[Any], relations: Relations) -> Outputs:
    """Return the columns that a list of items returns, as PostgreSQL names them."""
    names: list[str | None] = []
    is_complete = True
    for item in items:
        if not _is_star(item):
            names.append(_output_name(item))
            continue
        found = [
            relation for name, relation in relations.items() if item.args.get("table") is None or item.table == name
        ]
        is_complete = is_complete and bool(found) and all(relation.outputs.is_complete for relation in found)
        names += [name for relation in found for name in relation.outputs.names]
    return Outputs(tuple(names), is_complete)


def _is_star(item: Any) -> bool:
    return type(item) is exp.Star or (type(item) is exp.Column and type(item.this) is exp.Star)


def _output_name(item: Any) -> str | None:
    """Return the name of a column that a query returns, or None if PostgreSQL chooses it by a rule of its own."""
    if isinstance(item, exp.Alias):
        return str(item.alias)
    while type(item) in {exp.Paren, exp.Cast}:
        item = item.this
    if type(item) is exp.Column:
        return str(item.name)
    return called_function(item) or None


def _first_select(node: Any) -> exp.Select | None:
    """Return the first SELECT of a query: that which names the columns."""
    while isinstance(node, exp.Union | exp.Except | exp.Intersect | exp.Subquery):
        node = node.this
    return node if isinstance(node, exp.Select) else None


def _owner_in_every_key(table: sa.Table | None) -> bool:
    """Say whether no constraint of the table can bring two users' rows into conflict."""
    if table is None:
        return False
    keys: list[Any] = [c for c in table.constraints if isinstance(c, sa.PrimaryKeyConstraint | sa.UniqueConstraint)]
    keys += [index for index in table.indexes if index.unique]
    others = any(getattr(c, "__visit_name__", "") == "exclude_constraint" for c in table.constraints)
    return not others and all(OWNER in {column.name for column in key.columns} for key in keys)
