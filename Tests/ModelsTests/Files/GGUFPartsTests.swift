import Foundation
import Models
import TestSupport
import Testing

/// A model in several files, as `llama-gguf-split` writes them.
@Suite struct GGUFPartsTests {
    /// What stands in each part: the metadata in the first alone, the tensors one group after the other.
    static func parts(_ whole: GGUFBuilder, _ counts: [Int]) -> [GGUFBuilder] {
        var tensors = whole.tensors[...]
        return counts.enumerated().map { index, count in
            var part = whole
            if index > 0 { part.metadata = [] }
            part.tensors = Array(tensors.prefix(count))
            tensors = tensors.dropFirst(count)
            part.metadata += split(index, counts.count, whole.tensors.count)
            return part
        }
    }

    static func split(_ index: Int, _ count: Int, _ tensorCount: Int) -> [(String, GGUFBuilder.Value)] {
        [
            ("split.no", .raw(type: 2, GGUFBuilder.little(UInt16(index)))),
            ("split.count", .raw(type: 2, GGUFBuilder.little(UInt16(count)))),
            ("split.tensors.count", .raw(type: 5, GGUFBuilder.little(Int32(tensorCount)))),
        ]
    }

    static func name(_ index: Int, of count: Int, stem: String = "tiny") -> String {
        String(format: "\(stem)-%05d-of-%05d.gguf", index + 1, count)
    }

    static func write(_ parts: [GGUFBuilder], to folder: String) throws {
        for (index, part) in parts.enumerated() {
            try Fixtures.write(part.bytes, to: "\(folder)/\(name(index, of: parts.count))")
        }
    }

    /// The tokenizer's parts and all tensors of a whole file, cut in three, with nothing but metadata in the first or
    /// tensors in all of them.
    @Test(arguments: [[3, 9], [0, 1]]) func everyPartAndTheFolderLeadToTheWholeModel(counts: [Int]) throws {
        let whole = try GGUFTokenizerTests.builder("bpe-qwen", pre: "qwen2")
        try withTemporaryFolder { folder in
            let model = try GGUFTests.open(whole, in: folder)
            let cut = folder + "/cut"
            try FileManager.default.createDirectory(atPath: cut, withIntermediateDirectories: true)
            try Self.write(Self.parts(whole, counts + [whole.tensors.count - counts.reduce(0, +)]), to: cut)
            for path in [cut] + (0..<3).map({ "\(cut)/\(Self.name($0, of: 3))" }) {
                let joined = try ModelFiles.open(path)
                #expect(joined.configuration == model.configuration)
                #expect(joined.tensorNames == model.tensorNames)
                for name in model.tensorNames {
                    #expect(try GGUFTests.values(joined, name) == GGUFTests.values(model, name), "\(name)")
                }
                #expect(try joined.loadTokenizer().fingerprint == model.loadTokenizer().fingerprint)
                #expect(
                    try ModelFiles.openTokenizer(path).fingerprint == model.loadTokenizer().fingerprint, "\(path)")
                #expect(joined.storedType == model.storedType)
            }
        }
    }

    /// What is wrong with a set of parts, and the file that an error names with it.
    @Test func everySetOfPartsThatIsNoModelIsRefusedByName() throws {
        let whole = try GGUFBuilder.converting(GGUFTests.golden("llama-tied"))
        let total = whole.tensors.count
        let good = Self.parts(whole, [2, 5, total - 7])
        func expect(_ named: [String], _ change: (inout [GGUFBuilder], String) throws -> Void) throws {
            try withTemporaryFolder { folder in
                var parts = good
                try change(&parts, folder)
                try Self.write(parts, to: folder)
                for path in [folder, "\(folder)/\(Self.name(0, of: 3))"] {
                    let error = #expect(throws: ModelError.self, "\(named)") { try ModelFiles.open(path) }
                    for part in named { #expect(error?.message.contains(part) == true, "\(error?.message ?? "")") }
                    #expect(error?.message.contains("\n") == false)
                }
            }
        }
        func set(_ builder: inout GGUFBuilder, _ split: [(String, GGUFBuilder.Value)]) {
            builder.metadata.removeAll { $0.0.hasPrefix("split.") }
            builder.metadata += split
        }
        try expect(["tiny-00002-of-00003.gguf", "part 1 of 3, in the place of 2 of 3"]) { parts, _ in
            parts[1] = parts[0]
        }
        try expect(["tiny-00003-of-00003.gguf", "part 2 of 3, in the place of 3 of 3"]) { parts, _ in
            parts[2] = parts[1]
        }
        try expect(["tiny-00002-of-00003.gguf", "part 2 of 4"]) { parts, _ in set(&parts[1], Self.split(1, 4, total)) }
        try expect(["tiny-00003-of-00003.gguf", "tells of no parts"]) { parts, _ in set(&parts[2], []) }
        try expect(["tiny-00001-of-00003.gguf", "split.tensors.count is not \(total)"]) { parts, _ in
            for index in parts.indices { set(&parts[index], Self.split(index, 3, total + 1)) }
        }
        try expect(["tiny-00001-of-00003.gguf", "split.tensors.count is not \(total - 1)"]) { parts, _ in
            parts[2].tensors.removeLast()
        }
        try expect(["tiny-00002-of-00003.gguf", "split.tensors.count is not that of"]) { parts, _ in
            set(&parts[1], Self.split(1, 3, total + 1))
        }
        let repeated = whole.tensors[0].name
        try expect(["tiny-00003-of-00003.gguf", "'\(repeated)' stands in", "tiny-00001-of-00003.gguf, too"]) {
            parts, _ in
            parts[2].tensors[0] = whole.tensors[0]
        }
        try expect(["tiny-00003-of-00003.gguf", "general.architecture is not that of"]) { parts, _ in
            parts[2].metadata.append(("general.architecture", .string("qwen2")))
        }
        try expect(["tiny-00001-of-00003.gguf", "split.no is missing or not below"]) { parts, _ in
            set(&parts[0], Self.split(3, 3, total))
        }
        try expect(["tiny-00001-of-00003.gguf", "split.count is not a count"]) { parts, _ in
            set(&parts[0], [("split.count", .raw(type: 5, GGUFBuilder.little(Int32(-3))))])
        }
    }

    @Test func missingAndRenamedPartsAndStrangersAreNamed() throws {
        let whole = try GGUFBuilder.converting(GGUFTests.golden("llama-tied"))
        let parts = Self.parts(whole, [2, 5, whole.tensors.count - 7])
        try withTemporaryFolder { folder in
            func expect(_ path: String, _ named: [String]) {
                let error = #expect(throws: ModelError.self, "\(named)") { try ModelFiles.open(path) }
                for part in named { #expect(error?.message.contains(part) == true, "\(error?.message ?? "")") }
            }
            try Self.write(parts, to: folder)
            let first = "\(folder)/\(Self.name(0, of: 3))", second = "\(folder)/\(Self.name(1, of: 3))"
            try FileManager.default.removeItem(atPath: second)
            for path in [folder, first] {
                expect(path, ["tiny-00002-of-00003.gguf: missing", "part 1 of 3", "in one folder"])
            }
            expect("\(folder)/\(Self.name(2, of: 3))", ["tiny-00002-of-00003.gguf: missing", "part 3 of 3"])
            // Under another name nobody knows where the others are.
            try Fixtures.write(parts[1].bytes, to: "\(folder)/second.gguf")
            expect("\(folder)/second.gguf", ["second.gguf", "part 2 of 3", "MODEL-00002-of-00003.gguf"])
            // Another model in the folder: which one is meant is for the user to say.
            try Self.write(parts, to: folder)
            expect(folder, ["several GGUF files", "second.gguf"])
            try FileManager.default.removeItem(atPath: "\(folder)/second.gguf")
            try Fixtures.write(whole.bytes, to: "\(folder)/\(Self.name(0, of: 1, stem: "other"))")
            expect(folder, ["several GGUF files", "other-00001-of-00001.gguf"])
            // Which opens by its own name, as a part of a model of one.
            _ = try ModelFiles.open("\(folder)/other-00001-of-00001.gguf")
            _ = try ModelFiles.open(second)
        }
    }
}
