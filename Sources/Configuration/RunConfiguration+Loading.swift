import Foundation

/// A configuration that has been read and checked.
package struct LoadedConfiguration: Sendable {
    package var configuration: RunConfiguration
    /// Settings that are allowed and probably not meant, one line each.
    package var warnings: [String]
}

extension RunConfiguration {
    /// Reads and checks a configuration file.
    ///
    /// - Parameters:
    ///   - path: the YAML file.
    ///   - overrides: `key.path=value`, the value in YAML; later ones win, all win over the file.
    ///   - requiring: whose files must exist.
    /// - Throws: ``ConfigurationError`` with every problem found.
    ///
    /// A relative path in the file is looked up in the current directory, then beside the file.
    package static func load(
        _ path: String, overrides: [String] = [], requiring: Set<FileUse> = FileUse.ofRun
    ) throws -> LoadedConfiguration {
        guard let bytes = FileManager.default.contents(atPath: path) else {
            let message = fileExists(path) ? "cannot be read" : "no such file"
            throw ConfigurationError(problems: [.init(source: path, message: message)])
        }
        guard let text = String(bytes: bytes, encoding: .utf8) else {
            throw ConfigurationError(problems: [.init(source: path, message: "is not UTF-8 text")])
        }
        return try parse(text, source: path, overrides: overrides, requiring: requiring)
    }

    /// Reads and checks the text of a configuration file; `source` names it in problems. See ``load(_:overrides:requiring:)``.
    package static func parse(
        _ text: String, source: String, overrides: [String] = [], requiring: Set<FileUse> = FileUse.ofRun
    ) throws -> LoadedConfiguration {
        var reader = ConfigurationReader(source: source)
        reader.readFile(text)
        for override in overrides { reader.readOverride(override) }
        reader.finish(requiring: requiring)
        guard reader.problems.isEmpty else { throw ConfigurationError(problems: reader.sortedProblems) }
        return LoadedConfiguration(configuration: reader.configuration, warnings: reader.configuration.warnings)
    }

    static func fileExists(_ path: String) -> Bool { FileManager.default.fileExists(atPath: path) }
}
