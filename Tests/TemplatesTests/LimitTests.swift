import Foundation
import JSON
import Synchronization
import Templates
import Testing

/// Templates come from strangers: none of these may crash, or take more than its share.
@Suite struct LimitTests {
    /// What a template renders to or why it does not, on a thread with as little stack as those of Swift's pool.
    private func outcome(_ source: String) -> Result<String, TemplateError> {
        let result = Mutex<Result<String, TemplateError>?>(nil)
        let done = DispatchSemaphore(value: 0)
        let thread = Thread {
            let outcome = Result { () throws(TemplateError) -> String in
                try Template(source, name: "t").render(JSONObject(), date: ChatTemplate.defaultDate)
            }
            result.withLock { $0 = outcome }
            done.signal()
        }
        thread.stackSize = 512 << 10
        thread.start()
        done.wait()
        return result.withLock { $0 } ?? .success("nothing")
    }

    /// The kind of refusal; nil: it renders.
    private func refusal(_ source: String) -> TemplateError.Kind? {
        switch outcome(source) {
        case .success: nil
        case .failure(let error): error.kind
        }
    }

    private func grown(_ step: String, from first: String = "[1]", rounds: Int = 100_000, then: String = "ok") -> String
    {
        "{% set ns = namespace(x=\(first)) %}{% for i in range(\(rounds)) %}{% set ns.x = \(step) %}{% endfor %}\(then)"
    }

    @Test func deepTemplatesAreRefused() {
        func nested(_ opening: String, _ closing: String, _ count: Int = 20_000) -> String {
            String(repeating: opening, count: count) + "1" + String(repeating: closing, count: count)
        }
        for expression in [
            nested("(", ")"), nested("[", "]"), nested("-", ""), nested("not ", ""), "a" + nested("", ".b"),
            "a" + nested("", "|upper"), "a" + nested("", "()"), "a" + nested("", "[0]"), nested("1 if 0 else ", ""),
            nested("{1:", "}"),
        ] { #expect(refusal("{{ \(expression) }}") != nil) }
        #expect(refusal(nested("{% for x in [1] %}", "{% endfor %}", 5000)) != nil)
        #expect(refusal(nested("{% if 1 %}", "{% endif %}", 5000)) != nil)
        #expect(refusal(nested("{% set x %}", "{% endset %}", 5000)) != nil)
        #expect(refusal(String(repeating: " ", count: 1 << 20)) == .limit)
        // What nests as deep as is allowed renders on such a thread.
        #expect(refusal("{{ \(nested("(", ")", 90)) }}") == nil)
        #expect(refusal(nested("{% for x in [1] %}", "{% endfor %}", 90)) == nil)
    }

    @Test func endlessCallsAreRefused() {
        #expect(refusal("{% macro f(n) %}{{ f(n + 1) }}{% endmacro %}{{ f(0) }}") == .limit)
        #expect(refusal("{% macro f() %}{% call f() %}{{ caller() }}{% endcall %}{% endmacro %}{{ f() }}") == .limit)
        #expect(refusal("{% for x in [[1]] recursive %}{{ loop([x]) }}{% endfor %}") == .limit)
    }

    @Test func deepValuesDoNotCrash() {
        for step in [
            "[ns.x]", "(ns.x,)", "{'a': ns.x}", "ns.x | map('string')", "ns.x | batch(1) | list", "namespace(x=ns.x)",
            "[ns.x] | map('list')", "[ns.x] | select('in', [1])", "dict(a=ns.x).items()", "cycler(ns.x)",
        ] { _ = outcome(grown(step, rounds: 50_000)) }
        #expect(refusal(grown("[ns.x]", then: "{{ ns.x }}")) == .limit)
        #expect(refusal(grown("[ns.x]", then: "{{ ns.x | tojson }}")) == .limit)
        #expect(refusal(grown("[ns.x]", then: "{{ ns.x == [ns.x] }}")) == .limit)
        #expect(refusal(grown("(ns.x,)", then: "{{ {ns.x: 1} }}")) == .limit)
        #expect(refusal(grown("ns.x | map('string')", then: "{{ ns.x | list }}")) == .limit)
        #expect(refusal("{% set ns = namespace() %}{% set ns.x = [ns] %}{{ ns.x }}") == .limit)
        #expect(refusal("{% for x in [1] %}{{ loop.changed(loop) }}{% endfor %}") == nil)
    }

    @Test func widthsAreBounded() {
        for source in [
            "{{ 'a' * 1000000000000 }}", "{{ [1] * 1000000000000 }}", "{{ 'a'.center(100000000000) }}",
            "{{ '%1000000000d' % 1 }}", "{{ '{:1000000000}'.format(1) }}", "{{ [1] | batch(1000000000) | list }}",
            "{{ [1] | tojson(indent=1000000000) }}", "{{ range(10000000) }}", "{{ ('a' * 1000000) | list }}",
            "{{ ('a' * 1000000).replace('a', 'b' * 1000000) }}", "{{ (['a' * 1000000] * 200000) | join }}",
            "{% for i in range(100000) %}{{ 'a' * 1000000 }}{% endfor %}",
            grown("ns.x ~ ns.x", from: "'a'", rounds: 99),
            grown("ns.x + ns.x", rounds: 99), grown("[ns.x, ns.x]", rounds: 60, then: "{{ ns.x }}"),
        ] { #expect(refusal(source) == .limit, "\(source)") }
    }

    @Test func stepsAreBounded() {
        for source in [
            "{% for a in range(100000) %}{% for b in range(100000) %}{% endfor %}{% endfor %}",
            "{% set l = range(100000) | list %}{% for i in l %}{{ -1 in l }}{% endfor %}",
            "{% for i in range(100000) %}{{ ('a' * 1000000).find('b') }}{% endfor %}",
            "{% for i in range(100000) %}{{ range(100000) | sort | length }}{% endfor %}",
            "{% for i in range(100000) %}{{ ('a b ' * 100000).split() | length }}{% endfor %}",
            grown("[ns.x, ns.x]", rounds: 60, then: "{{ ns.x == ns.x }}"),
            grown("[ns.x, ns.x]", rounds: 60, then: "{{ ns.x | tojson }}"),
        ] { #expect(refusal(source) == .limit, "\(source)") }
    }

    @Test func numbersBeyondSixtyFourBitsAreRefused() {
        for expression in [
            "9223372036854775807 + 1", "-9223372036854775807 - 2", "9 ** 99", "99999999999999999999",
            "(-9223372036854775807 - 1) | abs", "(-9223372036854775807 - 1) // -1", "1e300 | int",
        ] { #expect(refusal("{{ \(expression) }}") == .unsupported, "\(expression)") }
        #expect(refusal("{{ [1][9223372036854775807] }}{{ [1, 2][-9223372036854775807:9223372036854775807] }}") == nil)
        #expect(refusal("{{ range(-9223372036854775807, 9223372036854775807) }}") == .limit)
    }
}
