# Maps a model from the app's assets and runs it with TensorFlow Lite on two threads.
.class public Ldev/edgewise/demo/DigitClassifier;
.super Ljava/lang/Object;
.source "DigitClassifier.java"

.field private static final MODEL:Ljava/lang/String; = "digits-s.tflite"
.field private static final LABELS:Ljava/lang/String; = "labels.txt"

.field private final interpreter:Lorg/tensorflow/lite/Interpreter;

.method public constructor <init>(Landroid/content/res/AssetManager;)V
    .registers 6
    invoke-direct {p0}, Ljava/lang/Object;-><init>()V
    const-string v0, "digits-s.tflite"
    invoke-static {p1, v0}, Ldev/edgewise/demo/DigitClassifier;->map(Landroid/content/res/AssetManager;Ljava/lang/String;)Ljava/nio/MappedByteBuffer;
    move-result-object v0
    new-instance v1, Lorg/tensorflow/lite/Interpreter$Options;
    invoke-direct {v1}, Lorg/tensorflow/lite/Interpreter$Options;-><init>()V
    const/4 v2, 0x2
    invoke-virtual {v1, v2}, Lorg/tensorflow/lite/Interpreter$Options;->setNumThreads(I)Lorg/tensorflow/lite/Interpreter$Options;
    new-instance v2, Lorg/tensorflow/lite/Interpreter;
    invoke-direct {v2, v0, v1}, Lorg/tensorflow/lite/Interpreter;-><init>(Ljava/nio/ByteBuffer;Lorg/tensorflow/lite/Interpreter$Options;)V
    iput-object v2, p0, Ldev/edgewise/demo/DigitClassifier;->interpreter:Lorg/tensorflow/lite/Interpreter;
    return-void
.end method

.method static map(Landroid/content/res/AssetManager;Ljava/lang/String;)Ljava/nio/MappedByteBuffer;
    .registers 11
    .annotation system Ldalvik/annotation/Throws;
        value = { Ljava/io/IOException; }
    .end annotation
    invoke-virtual {p0, p1}, Landroid/content/res/AssetManager;->openFd(Ljava/lang/String;)Landroid/content/res/AssetFileDescriptor;
    move-result-object v6
    new-instance v0, Ljava/io/FileInputStream;
    invoke-virtual {v6}, Landroid/content/res/AssetFileDescriptor;->getFileDescriptor()Ljava/io/FileDescriptor;
    move-result-object v1
    invoke-direct {v0, v1}, Ljava/io/FileInputStream;-><init>(Ljava/io/FileDescriptor;)V
    invoke-virtual {v0}, Ljava/io/FileInputStream;->getChannel()Ljava/nio/channels/FileChannel;
    move-result-object v0
    sget-object v1, Ljava/nio/channels/FileChannel$MapMode;->READ_ONLY:Ljava/nio/channels/FileChannel$MapMode;
    invoke-virtual {v6}, Landroid/content/res/AssetFileDescriptor;->getStartOffset()J
    move-result-wide v2
    invoke-virtual {v6}, Landroid/content/res/AssetFileDescriptor;->getDeclaredLength()J
    move-result-wide v4
    invoke-virtual/range {v0 .. v5}, Ljava/nio/channels/FileChannel;->map(Ljava/nio/channels/FileChannel$MapMode;JJ)Ljava/nio/MappedByteBuffer;
    move-result-object v0
    return-object v0
.end method

.method public classify(Ljava/nio/ByteBuffer;)[[F
    .registers 6
    const/4 v0, 0x1
    const/16 v1, 0xa
    filled-new-array {v0, v1}, [I
    move-result-object v0
    sget-object v1, Ljava/lang/Float;->TYPE:Ljava/lang/Class;
    invoke-static {v1, v0}, Ljava/lang/reflect/Array;->newInstance(Ljava/lang/Class;[I)Ljava/lang/Object;
    move-result-object v0
    check-cast v0, [[F
    iget-object v1, p0, Ldev/edgewise/demo/DigitClassifier;->interpreter:Lorg/tensorflow/lite/Interpreter;
    invoke-virtual {v1, p1, v0}, Lorg/tensorflow/lite/Interpreter;->run(Ljava/lang/Object;Ljava/lang/Object;)V
    return-object v0
.end method
