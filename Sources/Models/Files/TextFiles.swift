import Files
import Templates
import Tokenizers

/// What tells how a model of any family reads text, where another program computes it.
package struct TextFiles: Sendable {
    package let tokenizer: Tokenizer
    package let templates: ModelTemplates
    /// Ids are below this.
    package let vocabularySize: Int

    /// Opens a model, or a folder with a model's `config.json` and tokenizer alone.
    /// - Throws: ``ModelError`` naming file and key, and `TokenizerError`.
    package static func open(_ path: String) throws -> TextFiles {
        do {
            let files = try ModelFiles.openText(path)
            return TextFiles(
                tokenizer: try files.loadTokenizer(), templates: try files.chatTemplates(),
                vocabularySize: files.configuration.vocabularySize)
        } catch let error as ModelError where error.code == .unsupported {
            guard FileSystem.isFile(path.appendingPath("config.json")) else { throw error }
            let folder = try OtherFamilyFolder(path, isTextAlone: true)
            return TextFiles(
                tokenizer: try folder.loadTokenizer(), templates: try folder.chatTemplates(),
                vocabularySize: folder.vocabularySize)
        }
    }
}
