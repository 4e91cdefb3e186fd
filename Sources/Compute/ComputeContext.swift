import CKernels
import COneDNN
import Rules

/// oneDNN's engine, streams and scratchpads. Contexts, packed matrices and plans share it: the last one frees it.
final class MatmulRuntime {
    let handle: OpaquePointer

    init(threads: Int) {
        // oneDNN always has a CPU engine; without memory for one nothing else would work either.
        guard let handle = od_runtime_create(Int32(threads)) else { fatalError("oneDNN has no CPU engine") }
        self.handle = handle
    }

    deinit { od_runtime_destroy(handle) }
}

/// Where computation happens: a thread team, the compiled matmuls, scratch memory.
///
/// Used from one thread or actor at a time. Results never depend on the number of threads.
package final class ComputeContext {
    package let team: ThreadTeam
    package let kernels: ck_kernels
    let runtime: MatmulRuntime
    /// bf16 matrices are multiplied in f32, because oneDNN has no bf16 matmul here (or a test asks for it).
    package let emulatesBF16: Bool
    /// Multiplies with the package's own f32 kernel: oneDNN has no blocked one here (or a test asks for it).
    package let usesOwnMatmul: Bool
    /// Multiplies bf16 matrices with the package's own kernel of AMX tiles: oneDNN's rows depend on their number there.
    package let usesTiles: Bool
    /// Collects where the time goes; nil costs nothing.
    package var profile: OperationProfile?
    var plans: [PlanKey: MatmulPlan] = [:]
    var layouts: [LayoutKey: PackedLayout] = [:]
    var scratchTensors: [ScratchKey: ScratchTensor] = [:]
    /// Packed matrices lie here.
    let arena = StorageArena()
    /// Attention working memory, one block a thread.
    let threadScratch: [AlignedStorage]
    var attentionItems: [AttentionItem] = []
    var attendTasks: [ck_attend] = []

    /// `threads`: compute threads, the caller included.
    package convenience init(threads: Int) {
        self.init(threads: threads, instructionSet: nil, emulateBF16: nil)
    }

    /// `instructionSet`: "portable", "avx2" or "avx512", nil for the best; it must be available. `emulateBF16`: true
    /// multiplies bf16 in f32 even where oneDNN could do without. `tiles`: false leaves them alone where the CPU has them.
    package init(
        threads: Int, instructionSet: String?, emulateBF16: Bool?, ownMatmul: Bool = false, tiles: Bool = true
    ) {
        team = ThreadTeam(threads: threads)
        let table = instructionSet.map { ck_kernels_named($0) } ?? ck_kernels_best()
        guard let table else { fatalError("no \(instructionSet ?? "portable") kernels on this CPU") }
        kernels = table.pointee
        runtime = MatmulRuntime(threads: threads)
        usesOwnMatmul = ownMatmul || od_has_blocked_f32(runtime.handle) == 0
        emulatesBF16 = emulateBF16 == true || usesOwnMatmul || od_has_bf16(runtime.handle) == 0
        usesTiles = tiles && !emulatesBF16 && ck_bf16_tiles_available()
        threadScratch = (0..<threads).map { _ in AlignedStorage(byteCount: ck_attention_scratch()) }
    }

    /// Instruction sets whose kernels run on this CPU.
    package static var availableInstructionSets: [String] {
        ["portable", "avx2", "avx512"].filter { ck_kernels_named($0) != nil }
    }

    /// One line for logs: kernels, oneDNN and how bf16 is multiplied.
    package var summary: String {
        let isa = String(cString: kernels.name)
        let products = usesOwnMatmul ? "own matrix products" : "oneDNN \(String(cString: od_version()))"
        return "\(team.threads) threads, \(isa) kernels, \(products)"
            + (emulatesBF16 ? ", bf16 multiplied in f32" : usesTiles ? ", bf16 by AMX tiles" : "")
    }

    struct ScratchKey: Hashable {
        let name: String
        let columns: Int
        let type: ElementType
    }

    /// Reused memory under a name. Two uses of one name and shape share it.
    func scratch(_ name: String, rows: Int, columns: Int, type: ElementType = .f32) -> Tensor {
        let key = ScratchKey(name: name, columns: columns, type: type)
        if let found = scratchTensors[key] { return found.tensor(rows: rows) }
        let made = ScratchTensor(columns: columns, type: type)
        scratchTensors[key] = made
        return made.tensor(rows: rows)
    }
}
