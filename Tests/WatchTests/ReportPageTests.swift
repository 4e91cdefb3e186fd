import Foundation
import JSON
import RunFiles
import Testing
import Watch

@Suite struct ReportPageTests {
    private static let opening = "<script type=\"application/json\" id=\"data\">"

    private func data(of page: String) throws -> JSONValue {
        let start = try #require(page.range(of: Self.opening)).upperBound
        let end = try #require(page.range(of: "</script>", range: start..<page.endIndex)).lowerBound
        return try JSONValue.parse(String(page[start..<end]))
    }

    private func hostile() throws -> RunFolderFixture {
        let fixture = try RunFolderFixture()
        let attack = "</script><script>alert(1)</script><!-- <img src=x onerror=alert(1)> & \u{2028} <!-- scripts -->"
        try fixture.write(
            RunFolderFixture.configuration.replacing("models/<student>", with: "\"\(attack)\""),
            to: fixture.run.configuration)
        try fixture.write(RunFolderFixture.lines(0...3), to: fixture.run.metrics)
        try fixture.write(
            RunFolderFixture.sample(step: 1, prompt: attack, response: attack, ends: nil)
                + RunFolderFixture.sample(step: 2, response: "a</", ends: [1, 2, 3]), to: fixture.run.samples)
        return fixture
    }

    @Test func nothingOfARunBecomesMarkup() throws {
        let fixture = try hostile()
        let page = ReportPage([fixture.digest()], library: nil, program: "opd <test>").html
        // Those of the page: one of data, one of code.
        #expect(
            page.components(separatedBy: "<script").count == 3 && page.components(separatedBy: "</script").count == 3)
        #expect(!page.contains("<img") && !page.contains("alert(1)</script>"))
        let data = try data(of: page)
        let run = try #require(data["runs"]?.array?.first)
        #expect(run["samples"]?.array?.first?["prompt"]?.string?.contains("<img src=x onerror=alert(1)>") == true)
        #expect(run["configuration"]?.array?.contains { $0.array?.last?.string?.contains("<script>") == true } == true)
        #expect(data["program"]?.string == "opd <test>")
    }

    @Test func aPolicyAllowsThePagesOwnScriptsAlone() throws {
        let page = ReportPage([try hostile().digest()], library: nil, program: "opd").html
        let policy = try #require(page.firstMatch(of: /Content-Security-Policy" content="([^"]*)"/)).1
        #expect(policy.contains("default-src 'none'") && !policy.contains("script-src 'unsafe"))
        #expect(policy.components(separatedBy: "'sha256-").count == 2)
        // Nothing is asked of any other place.
        for outside in ["http://", "https://", "src=\"", "@import", "url("] {
            #expect(!page.contains(outside), "\(outside)")
        }
    }

    @Test func theLibraryIsPutInAsItIsOrNotAtAll() throws {
        let fixture = try RunFolderFixture()
        let script = "\(fixture.run.path)/dygraph.min.js", style = "\(fixture.run.path)/dygraph.min.css"
        #expect(ChartLibrary(in: fixture.run.path) == nil)
        try fixture.write(".dygraph-legend { color: black }", to: style)
        try fixture.write("var Dygraph = 1;\n//# sourceMappingURL=dygraph.min.js.map", to: script)
        let library = try #require(ChartLibrary(in: fixture.run.path))
        try fixture.write(RunFolderFixture.lines(0...1), to: fixture.run.metrics)
        let page = ReportPage([fixture.digest()], library: library, program: "opd").html
        #expect(
            page.contains("var Dygraph = 1;") && page.contains(".dygraph-legend {")
                && !page.contains("sourceMappingURL"))
        #expect(page.components(separatedBy: "'sha256-").count == 3)
        for bad in ["var Dygraph; '</SCRIPT>'", "var Dygraph; '<!--'", "nothing"] {
            try fixture.write(bad, to: script)
            #expect(ChartLibrary(in: fixture.run.path) == nil, "\(bad)")
        }
    }

    @Test func linksAndForeignFilesAreLeftOutAndSaid() throws {
        let fixture = try RunFolderFixture()
        let secret = "\(fixture.run.path)/secret"
        try fixture.write(RunFolderFixture.configuration.replacing("tiny", with: "secret"), to: secret)
        for path in [fixture.run.configuration, fixture.run.metrics, fixture.run.samples] {
            try FileManager.default.createSymbolicLink(atPath: path, withDestinationPath: secret)
        }
        try FileManager.default.removeItem(atPath: fixture.run.logs)
        try FileManager.default.createSymbolicLink(atPath: fixture.run.logs, withDestinationPath: "/var/log")
        #expect(RunDigest.isRun(fixture.run))
        let page = ReportPage([fixture.digest()], library: nil, program: "opd").html
        let run = try #require(try data(of: page)["runs"]?.array?.first)
        #expect(run["configuration"] == nil && run["ledger"] == nil && run["samples"]?.array?.isEmpty == true)
        #expect(run["notes"]?.array?.count == 4, "\(run["notes"]?.text() ?? "")")
        #expect(!page.contains("name: secret"))
    }

    @Test func anEmptyFolderIsNoRunAndAFolderOfNoiseIsOneWithoutNumbers() throws {
        let fixture = try RunFolderFixture()
        #expect(!RunDigest.isRun(fixture.run) && !RunDigest.isRun(RunFolder("/nonexistent/x")))
        var noise = Data((0..<200_000).map { UInt8(truncatingIfNeeded: $0 &* 2_654_435_761 >> 7) })
        noise.append(0x0a)
        for path in [fixture.run.configuration, fixture.run.metrics, fixture.run.samples, fixture.run.log("learner")] {
            try noise.write(to: URL(filePath: path))
        }
        let document = try fixture.document()
        #expect(document["ledger"] == nil && document["samples_total"] == 0 && document["configuration"] == nil)
        #expect((document["notes"]?.array?.count ?? 0) >= 3)
    }

    @Test func severalRunsShareTheSpace() throws {
        let fixtures = try (0..<4).map { _ in try RunFolderFixture() }
        for fixture in fixtures {
            try fixture.write(RunFolderFixture.lines(0...3000), to: fixture.run.metrics)
            try fixture.write(
                (0..<3000).map { RunFolderFixture.sample(step: $0, prompt: String(repeating: "p", count: 3000)) }
                    .joined(),
                to: fixture.run.samples)
        }
        let digests = fixtures.map { $0.digest(.init(runs: 4)) }
        let page = ReportPage(digests, library: nil, program: "opd").html
        #expect(page.utf8.count < 2_500_000)
        #expect(try data(of: page)["runs"]?.array?.count == 4)
    }
}
