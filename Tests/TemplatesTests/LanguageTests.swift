import JSON
import Templates
import Testing

private func render(_ source: String, _ variables: JSONObject = JSONObject()) throws -> String {
    try Template(source, name: "t").render(variables, date: TemplateDate(year: 2025, month: 3, day: 9, hour: 15))
}

private func refusal(of source: String) -> TemplateError? {
    do {
        _ = try render(source)
        return nil
    } catch let error as TemplateError {
        return error
    } catch {
        return nil
    }
}

/// Where texts end and expressions begin.
@Suite struct LexerTests {
    @Test(arguments: [
        // trim_blocks takes the newline after a block, lstrip_blocks the space before it, neither of outputs.
        ("a\n  {% if 1 %}\n  b\n  {% endif %}\nc", "a\n  b\nc"),
        ("  {{ 1 }}\n  {# c #}\nd", "  1\nd"),
        ("a {%- if 1 -%} \n b {%- endif %} c", "ab c"),
        ("a\n  {%+ if 1 +%}\nb{% endif %}", "a\n  \nb"),
        ("{% raw %}{{ x }}{% if %}{% endraw %}", "{{ x }}{% if %}"),
        ("{{ '}}' }}{{ \"%}\" }}{{ {'a': {'b': 1}}['a'] }}", "}}%}{'b': 1}"),
        ("a\n", "a"), ("a\r\nb", "a\nb"), ("{{ '\\x41\\u00e9\\n' }}", "Aé\n"),
        ("{{ 1_000 + 0x1f + 0b11 + 0o17 }} {{ 1.5e3 }}", "1049 1500.0"),
    ]) func texts(_ source: String, _ expected: String) throws { #expect(try render(source) == expected) }

    @Test(arguments: [
        ("a\n\n{{ 'b }}", 3), ("{# no end", 1), ("x\n{% raw %}", 2), ("{{ 1 $ 2 }}", 1), ("a\nb {{ 1 ", 2),
    ]) func whatDoesNotEnd(_ source: String, line: Int) { #expect(refusal(of: source)?.line == line) }
}

/// Jinja's precedence, which is Python's but for signs and filters, and what is no template.
@Suite struct ParserTests {
    @Test(arguments: [
        ("1 + 2 * 3 ** 2 // 4 - 7 % 4", "2"), ("-2 ** 2", "4"), ("not 1 == 2 and 3", "3"), ("1 < 2 < 3 != 4", "True"),
        ("1 ~ 2 * 3", "16"), ("2 if 0 else 3 if 0 else 4", "4"), ("1 in [1] and 2 not in [1]", "True"),
        ("[1, 2, 3][-2:] | join('-') | length", "3"), ("'a' 'b'", "ab"), ("(1, 2)[1], 3", "(2, 3)"),
        ("4 is even and 3 is not even", "True"), ("-1 | abs", "1"), ("{'a': [1, {'b': 2}]}.a[1].b", "2"),
    ]) func precedence(_ expression: String, _ expected: String) throws {
        #expect(try render("{{ \(expression) }}") == expected)
    }

    @Test(arguments: [
        ("\n{% include 'x' %}", 2, "include"), ("{% extends 'x' %}", 1, "extends"),
        ("a\nb\n{% block x %}{% endblock %}", 3, "block"),
        ("{% import 'x' as y %}", 1, "import"), ("{% nonsense %}", 1, "nonsense"), ("{{ 1 | nope }}", 1, "nope"),
        ("\n\n{{ 1 is nope }}", 3, "nope"), ("{% if 1 %}", 1, "if"), ("{% endfor %}", 1, "endfor"),
        ("{{ 1 + }}", 1, ""), ("{% for x %}{% endfor %}", 1, ""), ("{% set %}", 1, ""),
    ]) func refusals(_ source: String, line: Int, construct: String) throws {
        let error = try #require(refusal(of: source))
        #expect(error.line == line && error.template == "t")
        #expect(construct.isEmpty || error.message.contains(construct), "\(error)")
    }
}

/// Values as Python prints and compares them.
@Suite struct ValueTests {
    @Test(arguments: [
        ("[1, 'a', 2.0, none, true, (1,), {}]", "[1, 'a', 2.0, None, True, (1,), {}]"),
        ("[\"it's\", '\\n\\x01é\\u200b']", "[\"it's\", '\\n\\x01é\\u200b']"),
        ("1e16", "1e+16"), ("0.1 + 0.2", "0.30000000000000004"), ("1e-5", "1e-05"), ("7 / 2", "3.5"), ("-7 // 2", "-4"),
        ("{1: 'a', 1.0: 'b', true: 'c'}", "{1: 'c'}"), ("1 == 1.0 == true", "True"), ("[1] == (1,)", "False"),
        ("'é' == 'e\\u0301'", "False"), ("'é' | length", "1"), ("'😀a'[1:]", "a"), ("'ß' | upper", "SS"),
        ("{'b': 1, 'a': [1.0, none, 'é\"']} | tojson", "{\"b\": 1, \"a\": [1.0, null, \"é\\\"\"]}"),
        ("[[], {}, 0, 0.0, '', none, undefinedThing] | select | list", "[]"),
    ]) func printing(_ expression: String, _ expected: String) throws {
        #expect(try render("{{ \(expression) }}") == expected)
    }

    @Test func undefinedValues() throws {
        #expect(try render("{{ a }}{{ a is defined }}{{ a | default('d') }}{{ none.x is defined }}") == "FalsedFalse")
        #expect(refusal(of: "{{ a.b }}")?.reason == "'a' is undefined")
        #expect(refusal(of: "{{ a + 1 }}")?.kind == .failed)
        #expect(refusal(of: "{{ [].append(1) }}") != nil)
        #expect(try render("{{ ''.__class__ is defined }}") == "False")
    }

    @Test func dates() throws {
        #expect(
            try render("{{ strftime_now('%d %b %Y, %A, %-I %p, %j, %y-%m') }}")
                == "09 Mar 2025, Sunday, 3 PM, 068, 25-03")
        #expect(refusal(of: "{{ strftime_now('%Q') }}")?.kind == .unsupported)
        #expect(TemplateDate("2024-02-30") == nil && TemplateDate("2024-02-29")?.dayText == "2024-02-29")
        #expect(TemplateDate(secondsSinceEpoch: 951_782_400).dayText == "2000-02-29")
    }
}

/// Scopes, loops and macros.
@Suite struct EvaluatorTests {
    @Test(arguments: [
        ("{% set x = 1 %}{% for i in [2] %}{% set x = i %}{% endfor %}{{ x }}", "1"),
        ("{% set n = namespace(x=1) %}{% for i in [2, 3] %}{% set n.x = n.x + i %}{% endfor %}{{ n.x }}", "6"),
        ("{% for a, b in {'k': 'v'}.items() %}{{ a }}{{ b }}{{ loop.last }}{% else %}E{% endfor %}", "kvTrue"),
        ("{% for x in [1, 2, 3, 4] if x % 2 %}{{ loop.index }}/{{ loop.length }} {% endfor %}", "1/2 2/2 "),
        ("{% for x in [1, 2, 3] %}{% if x == 1 %}{% continue %}{% endif %}{{ x }}{% break %}{% endfor %}", "2"),
        ("{% for n in [[1, [2]]] recursive %}{{ loop(n) if n is iterable else n }};{% endfor %}", "1;2;;;"),
        (
            "{% macro f(a, b=a * 2) %}{{ a }}{{ b }}{{ varargs }}{% endmacro %}{{ f(1) }} {{ f(1, 3, 4) }}",
            "12() 13(4,)"
        ),
        ("{% macro f() %}<{{ caller(5) }}>{% endmacro %}{% call(x) f() %}{{ x + 1 }}{% endcall %}", "<6>"),
        ("{% set x %}a{{ 1 }}{% endset %}{{ x | upper }}", "A1"),
        ("{% generation %}x{% set y = 1 %}{{ y }}{% endgeneration %}{{ y is defined }}", "x1False"),
        ("{% filter upper %}a{% endfilter %}{% with z = 2 %}{{ z }}{% endwith %}", "A2"),
    ]) func statements(_ source: String, _ expected: String) throws { #expect(try render(source) == expected) }

    @Test func raising() {
        let raised = refusal(of: "\n{% if 1 %}\n{{ raise_exception('no ' ~ 2) }}{% endif %}")
        #expect(raised?.kind == .raised && raised?.line == 3 && raised?.reason == "no 2")
        #expect(refusal(of: "{% if 0 %}{{ raise_exception('x') }}{% endif %}") == nil)
    }
}
