import Configuration
import Foundation
import Testing

/// The files under Examples/ are read by the code that users' files go through.
@Suite struct ExamplesTests {
    static let repository = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().path

    private func prompts(_ name: String) throws -> [String] {
        try PromptFile.read("\(Self.repository)/Examples/\(name)", teachers: ["default"], defaultTeacher: "default")
            .flatMap { $0.messages.map(\.content) }
    }

    private func normalized(_ text: String) -> String {
        text.lowercased().split { !$0.isLetter && !$0.isNumber }.joined(separator: " ")
    }

    @Test func thereAreEnoughPromptsAndNoneTwice() throws {
        let training = try prompts("prompts.jsonl").map(normalized)
        let heldOut = try prompts("heldout.jsonl").map(normalized)
        #expect(training.count >= 420)
        #expect(heldOut.count >= 32)
        #expect(Set(training).count == training.count)
        #expect(Set(heldOut).count == heldOut.count)
        #expect(Set(training).isDisjoint(with: heldOut))
    }

    @Test func everyExampleConfigurationIsValid() throws {
        let folder = "\(Self.repository)/Examples"
        let names = try FileManager.default.subpathsOfDirectory(atPath: folder).filter { $0.hasSuffix(".yaml") }
        #expect(names.contains("smollm2.yaml"))
        #expect(names.contains("study/opd.yaml"))
        for name in names { _ = try RunConfiguration.load("\(folder)/\(name)", requiring: []) }
    }

    /// The quick start: synchronous, so that it repeats, and of models that the files beside it make.
    @Test func theQuickStartIsWhatItIsSaidToBe() throws {
        func load(_ name: String) throws -> RunConfiguration {
            try RunConfiguration.load("\(Self.repository)/Examples/\(name).yaml", requiring: []).configuration
        }
        let run = try load("arithmetic")
        #expect(run.pipeline.maxStaleness == 0 && run.evaluation.teachers && run.objective.sharesHeads)
        #expect(run.student.model.hasSuffix("Examples/models/arithmetic-student"))
        #expect(run.teachers["default"]?.model.hasSuffix("Examples/models/arithmetic-teacher") == true)
        #expect(run.warnings == [])
        for name in ["arithmetic-student", "arithmetic-teacher"] {
            let made = try load(name)
            #expect(made.objective.kind == .supervised && made.data.task == run.data.task)
            let folder = "\(Self.repository)/Examples/models/\(name)"
            #expect(FileManager.default.fileExists(atPath: "\(folder)/model.safetensors"))
        }
    }

    @Test func theMainExampleIsWhatItIsSaidToBe() throws {
        let configuration = try RunConfiguration.load("\(Self.repository)/Examples/smollm2.yaml", requiring: [])
            .configuration
        #expect(configuration.rolloutsPerStep == 32)
        #expect(configuration.sampling.maxTokens == 48)
        #expect(configuration.training.steps == 40 && configuration.training.learningRate == 1e-4)
        #expect(configuration.pipeline.maxStaleness == 0)
        #expect(configuration.warnings == [])
    }
}

/// docs/configuration.md names every key with its default, and no key that is not there.
@Suite struct ConfigurationReferenceTests {
    @Test func theReferenceHasEveryKeyAndItsDefault() throws {
        let text = try String(contentsOfFile: "\(ExamplesTests.repository)/docs/configuration.md", encoding: .utf8)
        let rows = text.split(separator: "\n").filter { $0.hasPrefix("| `") }.map(String.init)
        let expected = ConfigurationSchema.referenceRows
        for row in expected { #expect(rows.contains(row), "docs/configuration.md lacks: \(row)") }
        for row in rows { #expect(expected.contains(row), "docs/configuration.md has a row that is no key: \(row)") }
    }
}
