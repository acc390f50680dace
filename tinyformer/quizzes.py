"""Questions of the course: five for a chapter, each with three answers of which one is right, and a reason for each.

`course.quiz(name)` shows them. What a cell can compute is asserted in `nbs/solutions/quizzes.ipynb`."""
from collections import namedtuple

Quiz = namedtuple('Quiz', 'page questions')            # page: the notebook that asks, without its suffix
Question = namedtuple('Question', 'text right answers')   # right: 'A', 'B' or 'C'
Answer = namedtuple('Answer', 'text why')


def ask(
    text: str,      # the question
    right: str,     # letter of the right answer
    *answers: tuple # (answer, why it is right or wrong), in the order A, B, C
) -> Question:
    "One question."
    return Question(text, right, tuple(Answer(*o) for o in answers))


HARDWARE = Quiz('01a_instructions', (
    ask('A data sheet promises 320 KB of SRAM. How many bytes are that?', 'B',
        ('320,000', 'That would be 320 times 1,000. Data sheets of memories count in powers of two.'),
        ('327,680', '1 KB is 1,024 bytes.'),
        ('335,544,320', 'That is 320 MB: the factor 1,024 was applied twice.')),
    ask('Where does a finished firmware keep the weights of its network?', 'A',
        ('in flash', 'Weights do not change while the network runs. What is constant lies in flash.'),
        ('in SRAM', 'SRAM holds what changes: activations, stack, variables. It is the scarcer memory.'),
        ('in registers', 'A core has about a dozen registers of 32 bits. Weights pass through them.')),
    ask('How many multiply-adds does one `SMLAD` do?', 'B',
        ('1', 'That is `MLA`. `SMLAD` multiplies both halves of two registers.'),
        ('2', 'Two 16-bit lanes of each register are multiplied, and both products are added to a third register.'),
        ('4', 'A register holds four int8 numbers, but they must be unpacked into lanes of 16 bits first.')),
    ask('Activations are (3, -2), weights (5, 7), and the accumulator holds 10. What does `SMLAD` give?', 'A',
        ('11', '10 + 3·5 + (-2)·7 = 11.'),
        ('1', 'The products sum to 1. `SMLAD` adds them to what the accumulator held.'),
        ('39', 'This takes -2 for 2. The lanes have signs.')),
    ask('A loop takes 2,160,000 instructions. How long does it take at 216 MHz, if one instruction ends in each tick?',
        'C',
        ('100 ms', '216 MHz are 216,000,000 ticks a second, not 21,600,000.'),
        ('1 ms', 'One millisecond has 216,000 ticks.'),
        ('10 ms', 'One millisecond has 216,000 ticks, and ten times as many are needed.'))))

RLE = Quiz('02a_rle_sizes', (
    ask('A row has 24 weights in blocks of four, and keeps two of the blocks. How many bytes does the row take?', 'B',
        ('8', 'These are the weights alone. Each kept block has a header.'),
        ('10', 'Two blocks of four weights, and one header byte for each.'),
        ('14', 'One header for each of six blocks would be a header for blocks that are not stored, too.')),
    ask('What is bit 7 of a header for?', 'C',
        ('It is the sign of the gap', 'A gap counts blocks that were skipped. It is never negative.'),
        ('It marks the last block of a row', 'It stands in the first header of a row, so that the row before is over.'),
        ('It marks the first block of a row', 'Whoever reads it knows that a new row begins, so the row before is '
         'over.')),
    ask('Which is the shortest gap that needs a bridge?', 'B',
        ('119', 'One header can still say 119.'),
        ('120', 'A header says 119 at most. In a longer gap a block of zeros is kept.'),
        ('128', 'Seven bits would reach 127, but some headers are reserved for empty rows and the end.')),
    ask('Above which sparsity is a stream of `1x4` blocks smaller than the dense layer?', 'A',
        ('20 %', 'A kept block takes 5 bytes in place of 4. So fewer than 4 of 5 blocks may be kept.'),
        ('50 %', 'That is `1x1`: a kept weight takes 2 bytes in place of 1.'),
        ('33 %', 'That is `1x2`: a kept block takes 3 bytes in place of 2.')),
    ask('In a stored stream a weight 5 became a 6. What does the decoder do?', 'A',
        ('It accepts the stream', 'This is the stream of another layer. The format catches broken structure. A '
         'checksum of the file catches wrong weights.'),
        ('It refuses the stream', 'It refuses what no encoder writes. An encoder does write a 6.'),
        ('It restores the 5', 'Nothing in the stream says what the weight was.'))))

MEMORY = Quiz('03_memory_alloc', (
    ask('From when on may another tensor use the bytes of a tensor?', 'C',
        ('When its last reader begins', 'While an operator runs, its inputs must still exist.'),
        ('When the network has run', 'Then nothing would ever be shared, and the arena would be the sum of all '
         'tensors.'),
        ('When its last reader has run', 'The life ends with the last step that reads it, this step included.')),
    ask('A chain of three steps makes tensors of 96, 400 and 200 bytes. What is the lower bound of its memory?', 'B',
        ('696 bytes', 'That is the sum of all three. The first one is dead when the third is made.'),
        ('600 bytes', 'Step 2 needs its input of 400 and its output of 200. Step 1 needs 96 + 400.'),
        ('400 bytes', 'An operator needs its input and its output at once.')),
    ask('The peak of a plan is above the lower bound. What do you know?', 'A',
        ('Nothing certain: a better plan may exist or not', 'Holes may be unavoidable. Only a complete search '
         'proves it.'),
        ('A better plan exists', 'The bound looks at one step at a time. Several steps together may need more.'),
        ('The plan has an error', 'A plan is wrong when two live tensors share a byte. This one may be right.')),
    ask('A tensor of 13 bytes is placed with an alignment of 8. How many bytes does it count?', 'B',
        ('13', 'What follows must begin at a multiple of 8. So the rounding belongs to the tensor.'),
        ('16', 'The next multiple of 8.'),
        ('8', 'Sizes are rounded up.')),
    ask('Why does a shortcut around some layers need memory?', 'C',
        ('It stores the image twice', 'Nothing is copied. The addition reads the tensor where it lies.'),
        ('The addition needs scratch', 'An addition works element by element, without scratch.'),
        ('Its tensor lives until the addition', 'Meanwhile no other tensor may have these bytes.'))))

OPERATORS = Quiz('04d_norms', (
    ask('A tensor has scale 0.01 and zero point -78. Which code stands for 1.0?', 'A',
        ('22', '1.0 is 100 steps above 0, and 0 has the code -78.'),
        ('100', 'These are the steps from 0. The zero point comes on top.'),
        ('178', 'The zero point is added, not subtracted, and no code is above 127.')),
    ask('Why has each output channel of weights a scale of its own, and no input channel?', 'B',
        ('Inputs are smaller', 'Sizes differ on both sides.'),
        ('A sum over inputs has one common factor only if they share a scale',
         'With one scale for each output the sum stays whole, and one multiplication follows.'),
        ('Flash has no room for it', 'There are about as many input channels as output channels.')),
    ask('An accumulator of 1,000 is multiplied by 0.0123, and the zero point of the output is -5. Which code results?',
        'C',
        ('8', 'The product is 12.3, which rounds to 12.'),
        ('12', 'The zero point is missing.'),
        ('7', '12.3 rounds to 12, and 12 - 5 = 7.')),
    ask('How many entries has the table of exponentials of a softmax of int8 codes?', 'B',
        ('65,536', 'These are the pairs of two codes. The exponential depends on their difference alone.'),
        ('256', 'The largest code minus a code is a whole number from 0 to 255.'),
        ('as many as the row has tokens', 'The table depends on the scale only, and serves rows of any length.')),
    ask('Which code surrounds the image of a padded convolution?', 'A',
        ('the zero point of the input', 'It stands for the real number 0.'),
        ('0', 'Code 0 stands for a real number that is 0 only if the zero point is 0.'),
        ('-128', 'That is the smallest number of the tensor. It is 0 only where the range begins at 0, as behind '
         'a ReLU.'))))

GRAPH = Quiz('05a_graph_file', (
    ask('Two programs return different bytes for one model. Which bytes are right?', 'C',
        ('those of the device', 'The device is what is being checked.'),
        ('those nearest to the float network', 'Rounding is part of the definition, and float does not round.'),
        ('those of `run`', 'The NumPy run of the graph is the reference for all kernels.')),
    ask('A row has 64 weights of 127 and no bias. How large may its sum become, without its sign?', 'A',
        ('1,040,384', '64 · 127 · 128: the code furthest from 0 is -128.'),
        ('1,032,256', 'This takes 127 as the largest code. -128 is further from 0.'),
        ('8,128', 'This is the sum of the weights. Each is multiplied by a code.')),
    ask('Why is every array of a model file checked before C is written from it?', 'B',
        ('C compilers refuse wrong numbers', 'They compile any number that fits its type.'),
        ('On a device a wrong constant writes to a wrong place', 'There is no exception that would stop it.'),
        ('The file could be too slow', 'Speed is not what the check is about.')),
    ask('Code 10 stands in two tensors. Do both mean the same number?', 'B',
        ('Yes', 'A code has a meaning only with the scale and the zero point of its tensor.'),
        ('Only if scale and zero point are the same', 'The number is scale · (code - zero point).'),
        ('Only if the tensors have one shape', 'The shape says where a code lies, not what it means.')),
    ask('Why is a model stored as arrays and JSON, not as a pickle?', 'A',
        ('Reading a pickle can run code', 'A file from a stranger must not do that.'),
        ('Pickles are larger', 'Size is no reason. Arrays in a pickle take the same bytes.'),
        ('A pickle cannot hold arrays', 'It can.'))))

ATTENTION = Quiz('lessons/attention', (
    ask('Why are scores divided by √d?', 'B',
        ('So that they fit into int8', 'Their scale can be any number. √d matters in floating point, too.'),
        ('So that their spread does not grow with d', 'A sum of d products spreads as √d. Large scores make softmax '
         'choose a single token.'),
        ('So that each row sums to 1', 'Softmax does that, whatever the scores are.')),
    ask('The tokens of an input are shuffled, and they carry no positions. What does attention give?', 'A',
        ('the same answers, shuffled', 'Each token is compared with all others, and their order enters nowhere.'),
        ('other answers', 'The set of tokens is the same for each query, so its answer is the same.'),
        ('the same answers in the old order', 'Each token asks for itself, so its answer goes where the token goes.')),
    ask('How many scores do four heads compute for 16 tokens?', 'C',
        ('256', 'That is one head.'),
        ('64', 'Each query meets every key, not one.'),
        ('1,024', 'Each head compares 16 queries with 16 keys.')),
    ask('Why is one row of scores enough at a time?', 'A',
        ('A softmax needs its own row only', 'So does the answer of its query. The row can be forgotten then.'),
        ('All rows are equal', 'Each query has its own scores.'),
        ('The values are made one row at a time', 'All values are needed for each row.')),
    ask('Why is LayerNorm scaled up before its root is taken?', 'C',
        ('A root of a small number is slower', 'The root takes as many steps for every number.'),
        ('Then no root is needed', 'It is needed all the same.'),
        ('The whole root of a small number has no precision', 'The variance of a quiet token is below 1, so its whole '
         'root is 0 or 1.'))))

DATA = Quiz('10_data', (
    ask('With which images do you choose a learning rate?', 'B',
        ('test', 'Then the test accuracy is that of the best of several tries, which is too high.'),
        ('validation', 'Every choice is made with these. The test images are read once, at the end.'),
        ('train', 'A network may know these by heart.')),
    ask('One more of 360 test images is right. How many points of accuracy are that?', 'A',
        ('0.28', '100 / 360.'),
        ('0.036', 'One image of 2,800 would be that.'),
        ('3.6', 'One image of 28 would be that.')),
    ask('A pixel has the byte 200. Which int8 code does the device read?', 'C',
        ('-56', 'These are the same eight bits read with a sign. The device reads the byte minus 128.'),
        ('127', 'Nothing saturates: bytes from 0 to 255 become codes from -128 to 127.'),
        ('72', '200 - 128. With zero point -128 and scale 1/255 it means 200/255.')),
    ask('What does a stratified split promise?', 'A',
        ('Each class keeps its share in each part', 'To within one image.'),
        ('Each class is equally frequent', 'A rare class stays rare.'),
        ('Each part is equally large', 'The sizes are chosen freely.')),
    ask('Thirty photographs show the same traffic sign. Where may they stand?', 'B',
        ('Some in each part, by class', 'Then the network is asked about a sign that it has seen.'),
        ('All of them in one part', 'A cut goes between groups only, or the accuracy is too high.'),
        ('In train only', 'Other signs must stand in validation and test, with all of their photographs.'))))

PRUNING = Quiz('12_pruning', (
    ask('What is the score of the block (3, 4, 0, 0)?', 'B',
        ('7', 'That is the sum of the sizes.'),
        ('5', 'The root of 9 + 16: the L2 norm.'),
        ('4', 'That is the largest weight.')),
    ask('AGP prunes to 80 % from step 0 to step 100. Which share is pruned at step 50?', 'C',
        ('40 %', 'That would be a straight line.'),
        ('80 %', 'That is the end, at step 100.'),
        ('70 %', 'Of the way (1/2)³ = 1/8 is left: 80 % - 80 %/8.')),
    ask('A layer is pruned to 50 %, and one of its rows has small weights only. What may happen to this row?', 'A',
        ('It may lose everything', 'The blocks of the whole layer are ranked together.'),
        ('It loses half of its blocks', 'The share holds for the layer, not for each row.'),
        ('It loses nothing', 'Small norms are what goes first.')),
    ask('Half of the weights of a matrix are pruned. Which block shape keeps the most of its norm?', 'A',
        ('`1x1`', 'Each weight is chosen by itself, so the largest ones stay.'),
        ('`1x4`', 'A block keeps weak weights beside strong ones. In bytes it is cheaper, though.'),
        ('all the same', 'Only if neighbours are equally large.')),
    ask('Can a pruned block come back later in the training?', 'B',
        ('Yes, if its gradient is large', 'The old mask is applied before a new one is taken, so its norm is 0.'),
        ('No', 'The old mask is applied before a new one is taken. A block of norm 0 wins no place.'),
        ('Only in the last epoch', 'The order of masks is the same at every step.'))))

QUANTIZATION = Quiz('16_quantization', (
    ask('Why does the straight-through estimator take rounding for the identity?', 'A',
        ('The gradient of rounding is 0 nearly everywhere', 'Nothing would be learned through it.'),
        ('Rounding errors cancel', 'Single errors stay. The network learns to live with them.'),
        ('It is faster', 'Both take one operation.')),
    ask('What does a ReLU cost that directly follows a layer?', 'C',
        ('a table of 256 bytes', 'Other activations cost that.'),
        ('a comparison for each value', 'The saturation that every output has does it already.'),
        ('nothing', 'The range of the output starts at 0, and what is below saturates there.')),
    ask('One of 256 calibration images reaches fifty times further than all others. What becomes of the range?', 'B',
        ('It holds that image', 'Then all others would have five or six codes.'),
        ('That image is cut', 'One image that alone makes the range more than twice as wide does not count.'),
        ('Calibration is refused', 'The others are good enough.')),
    ask('A pruned network is trained further as integers. Do its zeros stay?', 'A',
        ('Yes: the mask multiplies in each pass', 'A pruned weight is 0 in each pass, and gets no gradient.'),
        ('No, the optimiser moves them', 'It could move what is stored, but the mask makes it 0 again.'),
        ('Only with a learning rate of 0', 'The mask works with any.')),
    ask('A channel has the same value in all images. What does its rounding error do to the next layer?', 'B',
        ('It averages out', 'An error that is the same for all images has no average of 0.'),
        ('It shifts the next layer, and the bias can take that back', 'The mean shift is measured and taken out of '
         'the bias.'),
        ('Nothing', 'The next layer multiplies it by its weights, maybe by a hundred.'))))

SUPERNAS = Quiz('20_supernas', (
    ask('Fifty of fifty random paths fit the board. Which share of all paths fits, with 95 % confidence?', 'B',
        ('100 %', 'Fifty samples cannot tell 100 % from 97 %.'),
        ('at least 92.9 %', 'That is the lower end of the interval of Wilson.'),
        ('at least 50 %', 'True, but fifty samples say more.')),
    ask('What is a path?', 'A',
        ('one network of the space', 'One value is chosen for each choice of the supernet.'),
        ('the order of the layers', 'The order is the same in all of them.'),
        ('the course of a training', 'Nothing is trained on this page.')),
    ask('The interval of the acceptance reaches from 88 % to 94 %, and the threshold is 90 %. What follows?', 'C',
        ('The supernet is accepted', 'The true share may be 88 %.'),
        ('The supernet is rejected', 'The true share may be 94 %.'),
        ('More paths are sampled', 'A verdict needs the whole interval on one side.')),
    ask('What must be known to price a path?', 'A',
        ('shapes, block shapes and sparsities', 'Sizes and instructions follow from these, before any training.'),
        ('its trained weights', 'A size depends on how many blocks are kept. Which ones hardly matters.'),
        ('a board on the desk', 'The costs of the kernels were measured once on an emulated core.')),
    ask('Two paths have 1,000 and 100,000 parameters. What is the capacity of these samples?', 'B',
        ('50,500', 'That is the mean. The large path hides the small one.'),
        ('10,000', 'The geometric mean: the root of the product.'),
        ('100,000', 'That is the larger one alone.'))))

TRAINING = Quiz('11_training', (
    ask('A run is killed in its third epoch and continued. Why does it see its images in the same order?', 'B',
        ('The order is stored with the weights', 'It could be, but nothing needs it: the order can be drawn again.'),
        ('The generator of an epoch is seeded by (seed, epoch)', 'So the order is a function of where the run is.'),
        ('The images are not shuffled', 'They are, in each epoch anew.')),
    ask('A run has ten steps, two of them warm-up, and a peak rate of 1. What is the rate of the first step?', 'A',
        ('0.33', 'The warm-up goes up in thirds: a third, two thirds, the peak.'),
        ('0.50', 'A warm-up of one step would be half the peak rate, and then the peak.'),
        ('0.00', 'A step at a rate of 0 would be wasted.')),
    ask('The softmax gives (1/4, 3/4), and class 1 is right. What is the cross entropy?', 'C',
        ('0.250', 'That is the probability of the wrong class.'),
        ('0.750', 'That is the probability of the right class. The loss is its negative logarithm.'),
        ('0.288', '-ln(3/4).')),
    ask('What does weight decay leave alone here?', 'C',
        ('convolutions', 'Their kernels are pulled towards 0.'),
        ('the first layer', 'It is decayed like the others.'),
        ('biases and the scales of norms', 'A scale that is pulled to 0 would switch its channel off.')),
    ask('Why is a checkpoint written under another name and then renamed?', 'A',
        ('There is always one whole file', 'A process that dies while it writes leaves the old checkpoint as it was.'),
        ('It is faster', 'It writes the same bytes, and renames in addition.'),
        ('The name holds the epoch', 'The name stays the same. The epoch is in the file.'))))

COST = Quiz('18_cost_model', (
    ask('A layer has 32 blocks of four weights, and half of them stay. How many bytes are the kept blocks?', 'B',
        ('64', 'These are the weights. Each block has a header.'),
        ('80', '16 blocks of 4 weights, with one header byte each.'),
        ('96', 'The blocks that are gone take no header.')),
    ask('Which figures decide whether a network can be used on a chip?', 'C',
        ('parameters and multiply-accumulates', 'Papers report them. No budget is counted in them.'),
        ('accuracy alone', 'A network that does not fit has none on the chip.'),
        ('flash, SRAM and instructions', 'These are the three budgets.')),
    ask('Which of these becomes smaller when more blocks are pruned?', 'A',
        ('the flash', 'Fewer blocks are stored.'),
        ('the multiply-accumulates that are reported', 'They are counted as if nothing were pruned.'),
        ('the buffers of input and output', 'They hold an image and the scores, whatever the weights are.')),
    ask('Why is the length of a stream an expectation here?', 'B',
        ('The format is random', 'Equal weights give equal bytes.'),
        ('Which blocks go is known after training only', 'So it is the mean over all masks with as many blocks.'),
        ('Headers have several lengths', 'Each is one byte.')),
    ask('The same path runs on a core without DSP instructions. What stays the same?', 'A',
        ('its multiply-accumulates', 'They follow from the shapes of its layers.'),
        ('its instructions', 'Other kernels run there, and they take more.'),
        ('its scratch', 'Other kernels need other scratch.'))))

SEARCH = Quiz('21_sparsenas', (
    ask('Paths of a dense supernet are pruned in one shot and ranked by accuracy. What does the order show?', 'A',
        ('how much the pruning hurt each of them', 'The weights never learned to do without each other.'),
        ('how good each becomes after training', 'That needs weights that were trained pruned.'),
        ('how large they are', 'Size is counted, not measured by accuracy.')),
    ask('There are 287 validation images. How many points of accuracy is one of them?', 'C',
        ('0.035', 'One image of 2,870 would be that.'),
        ('3.5', 'One image of 29 would be that.'),
        ('0.35', '100 / 287. Smaller differences cannot be seen.')),
    ask('A proposed path is over the flash limit. What happens?', 'B',
        ('It is judged, and loses', 'Judging takes time, and the result could not be used.'),
        ('It is recorded with its excess, and not judged', 'So it costs no time, and the optimiser learns from it.'),
        ('The search stops', 'The next path is proposed.')),
    ask('One order of three models is 1, 2, 3, another one 1, 3, 2. What is Kendall\'s τ?', 'A',
        ('0.33', 'Two of the three pairs agree and one does not: (2 - 1)/3.'),
        ('0.67', 'That is the share of pairs that agree. Those that do not are taken off.'),
        ('1.00', 'One pair is the other way round.')),
    ask('Two models are equally good within half a standard error. Which one wins?', 'B',
        ('the more accurate one', 'The difference is too small to mean anything.'),
        ('the one with fewer instructions', 'A tie goes to the cheaper model.'),
        ('the one that was found first', 'The order of the search says nothing about a model.'))))

QUIZZES = dict(hardware=HARDWARE, rle=RLE, memory=MEMORY, operators=OPERATORS, graph=GRAPH, attention=ATTENTION,
               data=DATA, training=TRAINING, pruning=PRUNING, quantization=QUANTIZATION, cost=COST, supernas=SUPERNAS,
               search=SEARCH)
