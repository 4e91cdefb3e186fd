import Configuration
import Testing

/// What a configuration says of chat templates.
@Suite struct TemplateConfigurationTests {
    static let minimal = """
        name: a
        student: { model: s }
        teachers: { default: { model: t } }
        data: { prompts: p.jsonl }
        """

    private func parse(_ overrides: [String]) throws -> RunConfiguration {
        try RunConfiguration.parse(Self.minimal, source: "run.yaml", overrides: overrides, requiring: []).configuration
    }

    @Test func argumentsKeepTheirTypes() throws {
        let configuration = try parse([
            "data.template=rag",
            "data.template_arguments={enable_thinking: false, n: 3, x: 1.5, s: '12', l: [a, ~, {b: \"q\\\"é\"}], e: 1e3}",
            "data.system_prompt=\"Be kind: 'always'\\nand brief\"", "data.date=2025-02-28",
        ])
        #expect(
            configuration.data.templateArguments
                == #"{"enable_thinking":false,"n":3,"x":1.5,"s":"12","l":["a",null,{"b":"q\"é"}],"e":1000.0}"#)
        #expect(configuration.data.template == "rag" && configuration.data.date == "2025-02-28")
        // What is printed reads back as it was.
        let again = try RunConfiguration.parse(configuration.yaml(), source: "again.yaml", requiring: []).configuration
        #expect(again.data == configuration.data)
    }

    @Test func withoutArgumentsNothingIsPrinted() throws {
        let configuration = try parse(["data.template_arguments={}"])
        #expect(configuration.data.templateArguments == nil && !configuration.yaml().contains("template_arguments"))
    }

    @Test func whatIsNoMappingIsRefused() {
        for value in [
            "3", "[a]", "text", "{a: " + String(repeating: "[", count: 40) + String(repeating: "]", count: 40) + "}",
        ] {
            let error = #expect(throws: ConfigurationError.self) { try parse(["data.template_arguments=\(value)"]) }
            #expect(error?.problems.first?.key == "data.template_arguments", "\(value)")
        }
    }

    @Test func renderingsStayWhatTheyWere() throws {
        let old = try parse([])
        for override in [
            "data.template=chatml", "data.template_arguments={a: 1}", "data.system_prompt=S", "data.date=2025-01-01",
        ] {
            for continuation in RunConfiguration.Continuation.allCases {
                #expect(try parse([override]).refusedChanges(since: old, to: continuation).count == 1, "\(override)")
            }
        }
    }
}
