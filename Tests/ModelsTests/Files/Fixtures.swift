import Foundation

/// Where tests find golden cases and installed models.
enum Fixtures {
    static let repository = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().deletingLastPathComponent().path

    /// The directory of golden cases: `OPD_GOLDEN`, or the fixtures of this repository.
    static let golden = ProcessInfo.processInfo.environment["OPD_GOLDEN"] ?? repository + "/Tests/Fixtures/golden"

    /// Every model folder with golden values.
    static let cases: [String] = ((try? FileManager.default.contentsOfDirectory(atPath: golden)) ?? []).sorted()
        .filter { FileManager.default.fileExists(atPath: "\(golden)/\($0)/golden.safetensors") }

    /// The directory of installed models: `OPD_MODELS`, or `models` of this repository.
    static let models = ProcessInfo.processInfo.environment["OPD_MODELS"] ?? repository + "/models"

    static func exists(_ path: String) -> Bool { FileManager.default.fileExists(atPath: path) }

    static func write(_ bytes: [UInt8], to path: String) throws {
        try Data(bytes).write(to: URL(filePath: path))
    }

    static func read(_ path: String) throws -> [UInt8] { Array(try Data(contentsOf: URL(filePath: path))) }
}
