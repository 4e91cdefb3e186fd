import Foundation
import JSON
import Templates
import Testing

/// Templates of every construct, and what transformers makes of them (scripts/templates/expectations.py).
@Suite struct ExpectationTests {
    static let fixture: JSONObject = {
        let path = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .appending(path: "Fixtures/templates/expectations.json").path
        let bytes = FileManager.default.contents(atPath: path).map { [UInt8]($0) } ?? []
        return (try? JSONValue.parse(bytes))?.object ?? JSONObject()
    }()

    /// A text and what it should render to; null: an error; false: what depends on Python alone.
    private func check(_ source: String, _ expected: JSONValue, _ render: (Template) throws -> String) {
        guard expected != false else { return }
        let result = Result { try render(try Template(source, name: "t")) }
        switch (result, expected.string) {
        case (.success(let text), let expected?): #expect(text == expected, "\(source)")
        case (.failure, nil): break
        case (.success(let text), nil): Issue.record("\(source) should fail, and renders \(text)")
        case (.failure(let error), let expected?):
            Issue.record("\(source) should render \(expected), and fails: \(error)")
        }
    }

    private func render(_ template: Template) throws -> String {
        try template.render(Self.fixture["context"]?.object ?? JSONObject(), date: ChatTemplate.defaultDate)
    }

    @Test func everyFormOfEveryValue() throws {
        let names = try #require(Self.fixture["names"]?.array).compactMap(\.string)
        let forms = try #require(Self.fixture["all"]?.array)
        #expect(names.count > 15 && forms.count > 150)
        for form in forms {
            let text = try #require(form.array?.first?.string), results = try #require(form.array?.last?.array)
            #expect(results.count == names.count)
            for (name, expected) in zip(names, results) {
                check(text.replacing("@", with: name), expected, render)
            }
        }
    }

    @Test func everyConstruct() throws {
        let cases = try #require(Self.fixture["cases"]?.array)
        #expect(cases.count > 140)
        for each in cases {
            check(try #require(each.array?.first?.string), try #require(each.array?.last), render)
        }
    }

    @Test func wholeChatTemplates() throws {
        let conversations = try #require(Self.fixture["conversations"]?.array).compactMap(\.object)
        let chats = try #require(Self.fixture["chats"]?.array)
        #expect(conversations.count == 10 && chats.count == 2)
        for each in chats {
            let text = try #require(each.array?.first?.string), results = try #require(each.array?.last?.array)
            for (conversation, expected) in zip(conversations, results) {
                check(text, expected) { template in
                    let chat = ChatTemplate(
                        template, origin: .model(file: "t"),
                        variables: Self.fixture["variables"]?.object ?? JSONObject())
                    return try chat.render(Conversation(conversation))
                }
            }
        }
    }
}
