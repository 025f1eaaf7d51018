.class public Ldev/edgewise/demo/DemoApp;
.super Landroid/app/Application;
.source "DemoApp.java"

.method public constructor <init>()V
    .registers 1
    invoke-direct {p0}, Landroid/app/Application;-><init>()V
    return-void
.end method
