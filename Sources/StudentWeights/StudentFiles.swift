import Engines
import Files
import Models
import Rules
import Tokenizers
import Wire

/// The files of a student: of a family that is read here, or of another, which other engines compute.
package enum StudentFiles: Sendable {
    case known(ModelFiles)
    case other(OtherFamilyFolder)

    /// - Throws: `ModelError` naming file, key or tensor.
    package init(_ path: String) throws {
        do {
            self = .known(try ModelFiles.open(path))
        } catch let error as ModelError where error.code == .unsupported {
            // Not a folder that transformers would open.
            guard FileTree.kind(path.appendingPath("config.json")) != .missing else { throw error }
            self = .other(try OtherFamilyFolder(path))
        }
    }

    /// Its tokenizer, with the tokens that start and end a sequence.
    package func loadTokenizer() throws -> Tokenizer {
        switch self {
        case .known(let files): try files.loadTokenizer()
        case .other(let folder): try folder.loadTokenizer()
        }
    }

    /// Where each of the weights lies in a version that is sent out.
    package func manifest(_ type: WeightType) -> WeightManifest {
        let matrixType: ElementType = type == .f32 ? .f32 : .bf16
        let layout =
            switch self {
            case .known(let files): ParameterLayout(files.configuration, matrixType: matrixType).manifest
            case .other(let folder): folder.manifest(matrixType: matrixType)
            }
        return WeightManifest(layout, computedIn: type)
    }
}
