//! Whether a policy's expression confines rows to the brand in context.
//!
//! It does when it cannot be true unless the brand column equals the context: a comparison of the two, anything AND it,
//! or an OR of which every arm does. Whatever is not understood does not count, so that doubt is reported.

use pg_query::NodeEnum;
use pg_query::protobuf::{
    AExpr, AExprKind, BoolExprType, FuncCall, Node, SelectStmt, SubLinkType, TypeCast, TypeName, a_const,
};

use crate::config::Brand;

/// How the brand column and the brand in context are told in an expression.
pub struct Scope<'a> {
    brand: &'a Brand,
    casts: Casts,
}

/// Which casts keep every brand told from every other.
#[derive(Debug, Clone)]
pub enum Casts {
    /// To text, and to this type, which is the brand column's, in the words of the server.
    Faithful(String),
    /// None: somebody has defined casts of the brand column's type, and these may do anything.
    Redefined,
}

impl<'a> Scope<'a> {
    /// By the settings, and by what the database makes of a cast.
    pub fn new(brand: &'a Brand, casts: Casts) -> Self {
        Self { brand, casts }
    }

    /// Whether `expression`, as the server writes it, holds only for rows of the brand in context.
    pub fn is_confined(&self, expression: &str) -> bool {
        // A cast that the server does not write out, of a sub-select's value, may be one of these.
        if matches!(self.casts, Casts::Redefined) {
            return false;
        }
        let Ok(parsed) = pg_query::parse(&format!("select {expression}"), 0) else { return false };
        let node =
            parsed.protobuf.stmts.into_iter().next().and_then(|raw| raw.stmt).and_then(|stmt| stmt.node);
        match node {
            Some(NodeEnum::SelectStmt(select)) => {
                single_value(&select).is_some_and(|value| self.confines(value))
            }
            _ => false,
        }
    }

    fn confines(&self, node: &Node) -> bool {
        match &node.node {
            Some(NodeEnum::BoolExpr(expression)) => match expression.boolop() {
                BoolExprType::AndExpr => expression.args.iter().any(|arm| self.confines(arm)),
                BoolExprType::OrExpr => expression.args.iter().all(|arm| self.confines(arm)),
                _ => false,
            },
            Some(NodeEnum::AExpr(expression)) if is_operator(expression, AExprKind::AexprOp, "=") => {
                match (expression.lexpr.as_deref(), expression.rexpr.as_deref()) {
                    (Some(left), Some(right)) => {
                        (self.is_column(left) && self.is_context(right))
                            || (self.is_context(left) && self.is_column(right))
                    }
                    _ => false,
                }
            }
            Some(NodeEnum::SubLink(link)) if link.sub_link_type() == SubLinkType::AnySublink => {
                // IN: without an operator, or with the one that = ANY names.
                let is_equality = link.oper_name.iter().filter_map(string).all(|name| name == "=");
                is_equality
                    && link.testexpr.as_deref().is_some_and(|column| self.is_column(column))
                    && self.is_context_select(link.subselect.as_deref())
            }
            _ => false,
        }
    }

    /// The brand column of the row at hand. Where the server writes a table before it, it is another row's.
    fn is_column(&self, node: &Node) -> bool {
        match &node.node {
            Some(NodeEnum::ColumnRef(column)) => {
                matches!(&column.fields[..], [only] if string(only) == Some(&self.brand.column))
            }
            Some(NodeEnum::TypeCast(cast)) => {
                self.is_faithful(cast) && cast.arg.as_deref().is_some_and(|inner| self.is_column(inner))
            }
            _ => false,
        }
    }

    /// The brand in context: one of the functions, or the setting; cast, made NULL when empty, or in a sub-select.
    fn is_context(&self, node: &Node) -> bool {
        match &node.node {
            Some(NodeEnum::TypeCast(cast)) => {
                self.is_faithful(cast) && cast.arg.as_deref().is_some_and(|inner| self.is_context(inner))
            }
            Some(NodeEnum::SubLink(link)) if link.sub_link_type() == SubLinkType::ExprSublink => {
                self.is_context_select(link.subselect.as_deref())
            }
            Some(NodeEnum::AExpr(expression)) if is_operator(expression, AExprKind::AexprNullif, "=") => {
                expression.lexpr.as_deref().is_some_and(|inner| self.is_context(inner))
            }
            Some(NodeEnum::FuncCall(call)) => self.is_context_call(call),
            _ => false,
        }
    }

    /// Whether a cast keeps every brand told from every other: to text without a length, or to the brand's type.
    fn is_faithful(&self, cast: &TypeCast) -> bool {
        let Casts::Faithful(brand_type) = &self.casts else { return false };
        let brand_type = named_type(brand_type);
        match (type_names(cast.type_name.as_ref()), type_names(brand_type.as_ref())) {
            (Some(target), Some(brand_type)) if target == brand_type => true,
            _ => is_plain_text(cast.type_name.as_ref()),
        }
    }

    fn is_context_select(&self, select: Option<&Node>) -> bool {
        match select.and_then(|select| select.node.as_ref()) {
            Some(NodeEnum::SelectStmt(select)) => {
                single_value(select).is_some_and(|value| self.is_context(value))
            }
            _ => false,
        }
    }

    fn is_context_call(&self, call: &FuncCall) -> bool {
        let names: Vec<_> = call.funcname.iter().filter_map(string).collect();
        match (&names[..], &call.args[..]) {
            ([.., "current_setting"], [setting, ..]) => {
                matches!(names[..], [_] | ["pg_catalog", _])
                    && constant(setting).is_some_and(|name| name.eq_ignore_ascii_case(&self.brand.setting))
            }
            (_, []) => self.brand.functions.iter().any(|function| *function == names.join(".")),
            _ => false,
        }
    }
}

/// The value of `select value`, without FROM, WHERE or anything else that could change or hide it.
fn single_value(select: &SelectStmt) -> Option<&Node> {
    let [target] = &select.target_list[..] else { return None };
    let Some(NodeEnum::ResTarget(target)) = &target.node else { return None };
    let value = target.val.as_deref()?;
    let bare = SelectStmt {
        target_list: select.target_list.clone(),
        limit_option: select.limit_option,
        op: select.op,
        ..SelectStmt::default()
    };
    (*select == bare).then_some(value)
}

fn is_operator(expression: &AExpr, kind: AExprKind, name: &str) -> bool {
    expression.kind() == kind
        && match expression.name.iter().filter_map(string).collect::<Vec<_>>()[..] {
            [only] => only == name,
            ["pg_catalog", last] => last == name,
            _ => false,
        }
}

/// Text of any length. The server writes the schema of every type but its own.
fn is_plain_text(name: Option<&TypeName>) -> bool {
    matches!(type_names(name).as_deref(), Some(["text" | "varchar"] | ["pg_catalog", "text" | "varchar"]))
}

/// The names of a type that is no array and has no modifier.
fn type_names(name: Option<&TypeName>) -> Option<Vec<&str>> {
    let name = name.filter(|name| name.typmods.is_empty() && name.array_bounds.is_empty() && !name.setof)?;
    Some(name.names.iter().filter_map(string).collect())
}

/// A type as the grammar has it, from its name as the server writes it.
fn named_type(name: &str) -> Option<TypeName> {
    let parsed = pg_query::parse(&format!("select null::{name}"), 0).ok()?;
    let Some(NodeEnum::SelectStmt(select)) = parsed.protobuf.stmts.into_iter().next()?.stmt?.node else {
        return None;
    };
    match &single_value(&select)?.node {
        Some(NodeEnum::TypeCast(cast)) => cast.type_name.clone(),
        _ => None,
    }
}

fn string(node: &Node) -> Option<&str> {
    match &node.node {
        Some(NodeEnum::String(string)) => Some(&string.sval),
        _ => None,
    }
}

fn constant(node: &Node) -> Option<&str> {
    match &node.node {
        Some(NodeEnum::AConst(constant)) => match &constant.val {
            Some(a_const::Val::Sval(string)) => Some(&string.sval),
            _ => None,
        },
        Some(NodeEnum::TypeCast(cast)) if is_plain_text(cast.type_name.as_ref()) => {
            cast.arg.as_deref().and_then(constant)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_confined(expression: &str) -> bool {
        Scope::new(&Brand::default(), Casts::Faithful("public.brand_id".into())).is_confined(expression)
    }

    #[test]
    fn what_holds_only_for_the_brand_in_context_is_confined() {
        for expression in [
            "brand_id = (select percytech.current_brand()::public.brand_id as current_brand)",
            "(brand_id = ( SELECT (percytech.current_brand())::public.brand_id AS current_brand))",
            "percytech.current_brand()::public.brand_id = brand_id",
            "brand_id = (current_setting('app.current_brand'::text))::public.brand_id",
            "brand_id = (nullif(current_setting('app.current_brand'::text, true), ''::text))::public.brand_id",
            "(brand_id)::text = current_setting('app.current_brand'::text, true)",
            "is_active and brand_id = percytech.current_brand()::public.brand_id",
            "(brand_id = percytech.current_brand()::public.brand_id and a) or (brand_id = percytech.current_brand()::public.brand_id and b)",
            "brand_id in (select percytech.current_brand()::public.brand_id)",
            "brand_id = any (select percytech.current_brand()::public.brand_id)",
            "brand_id = current_setting('APP.Current_Brand', true)::public.brand_id",
            "brand_id operator(pg_catalog.=) percytech.current_brand()::public.brand_id",
        ] {
            assert!(is_confined(expression), "{expression}");
        }
    }

    #[test]
    fn what_may_hold_for_another_brand_is_not() {
        for expression in [
            "true",
            "brand_id = brand_id",
            "brand_id = 'gnymble'::public.brand_id",
            "brand_id <> percytech.current_brand()::public.brand_id",
            "not (brand_id = percytech.current_brand()::public.brand_id)",
            "brand_id = percytech.current_brand()::public.brand_id or is_public",
            "percytech.current_brand() is null or brand_id = percytech.current_brand()::public.brand_id",
            "brand_id is not distinct from percytech.current_brand()::public.brand_id",
            "brand_id = coalesce(percytech.current_brand()::public.brand_id, brand_id)",
            "brand_id = coalesce(percytech.current_brand(), 'gnymble')::public.brand_id",
            "other_id = percytech.current_brand()::public.brand_id",
            "customers.brand_id = percytech.current_brand()::public.brand_id",
            "brand_id = current_setting('app.other')::public.brand_id",
            "brand_id = evil.current_brand()::public.brand_id",
            "brand_id = evil.current_setting('app.current_brand')::public.brand_id",
            "brand_id operator(evil.=) percytech.current_brand()::public.brand_id",
            "(brand_id)::char(1) = current_setting('app.current_brand')",
            "(brand_id)::name = current_setting('app.current_brand')::name",
            "(brand_id)::public.text = current_setting('app.current_brand')",
            "(brand_id)::public.text = percytech.current_brand()::public.text",
            "brand_id = percytech.current_brand()::varchar(5)::public.brand_id",
            "brand_id = percytech.current_brand()::character varying(5)::public.brand_id",
            "brand_id = percytech.current_brand()::brand_id",
            "brand_id = percytech.current_brand()::evil.brand_id",
            "brand_id = percytech.current_brand()::boolean::public.brand_id",
            "brand_id = current_setting('app.current_brand'::varchar(11), true)::public.brand_id",
            "brand_id = current_setting('app.current_brand'::public.text, true)::public.brand_id",
            "brand_id <> any (select percytech.current_brand()::public.brand_id)",
            "brand_id not in (select percytech.current_brand()::public.brand_id)",
            "brand_id in (select percytech.current_brand()::public.brand_id union select 'gnymble')",
            "brand_id = (select percytech.current_brand()::public.brand_id from brands)",
            "brand_id = (select percytech.current_brand()::public.brand_id where false)",
            "conversation_id in (select id from conversations where brand_id = percytech.current_brand()::public.brand_id)",
            "exists (select 1 where brand_id = percytech.current_brand()::public.brand_id)",
            "",
            "1; select brand_id = percytech.current_brand()",
            "not sql at all (",
        ] {
            assert!(!is_confined(expression), "{expression}");
        }
    }

    #[test]
    fn where_casts_were_redefined_none_is_trusted() {
        let brand = Brand::default();
        let scope = Scope::new(&brand, Casts::Redefined);
        assert!(!scope.is_confined("brand_id = percytech.current_brand()::public.brand_id"));
        assert!(!scope.is_confined("brand_id::text = percytech.current_brand()"));
        assert!(!scope.is_confined("brand_id in (select percytech.current_brand())"));
    }

    #[test]
    fn a_cast_that_cuts_is_not_taken_for_one_to_a_type_that_is_not_understood() {
        let brand = Brand::default();
        for brand_type in ["text[]", "varchar(5)", "no type at all"] {
            let scope = Scope::new(&brand, Casts::Faithful(brand_type.into()));
            assert!(!scope.is_confined("brand_id = percytech.current_brand()::varchar(5)"), "{brand_type}");
        }
    }

    #[test]
    fn the_tenant_may_be_called_otherwise() {
        let brand = Brand {
            column: "tenant_id".into(),
            data_type: "uuid".into(),
            setting: "app.tenant".into(),
            functions: vec![],
        };
        let scope = Scope::new(&brand, Casts::Faithful("uuid".into()));
        assert!(scope.is_confined("tenant_id = (current_setting('app.tenant'::text))::uuid"));
        assert!(!scope.is_confined("brand_id = (current_setting('app.tenant'::text))::uuid"));
        assert!(!scope.is_confined("tenant_id = (current_setting('app.current_brand'::text))::uuid"));
    }
}
